"""The Jinja environment of the pages: GOV.UK's macros, the kit's own components, and the templates of a subject."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Final

from jinja2 import (
    BaseLoader,
    ChainableUndefined,
    ChoiceLoader,
    Environment,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateNotFound,
    Undefined,
    pass_context,
)
from jinja2.runtime import Context
from jinja2.utils import missing

from nrmbus.packed import packed

_HERE: Final = Path(__file__).parent
COMPONENTS: Final = "govuk_frontend_jinja"
STATIC: Final = packed("web/static")
_PERHAPS: Final = frozenset({"caller", "successBanner", "typeClass"})
"""Names that GOV.UK's macros read although nothing may have set them: content of a caller, kinds of a banner."""


class _Lenient(Undefined):
    """A name that a template does not know is an error; a member that a component's parameters lack is empty.

    GOV.UK's macros ask each parameter whether it is there. `__new__` makes one of Jinja's two own classes.
    """

    def __new__(cls, hint: str | None = None, obj: Any = missing, name: str | None = None, **more: Any) -> Any:
        is_ours = (
            name is not None and name not in _PERHAPS and (obj is missing or not isinstance(obj, dict | Undefined))
        )
        return (StrictUndefined if is_ours else ChainableUndefined)(hint, obj, name, **more)


class Folders(BaseLoader):
    """Templates of folders of this package, the first that has one: in a wheel they are packed (`nrmbus.packed`)."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = tuple(packed(each.relative_to(_HERE.parent).as_posix()) for each in folders)

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:  # noqa: ARG002 - as Jinja calls it
        """Return the text of *template*. Raises TemplateNotFound if no folder has it."""
        for each in self._folders:
            found = each.joinpath(template)
            if found.is_file():
                # An archive in memory has no path that a traceback could name.
                return found.read_text(encoding="utf-8"), str(found) if isinstance(found, Path) else None, None
        raise TemplateNotFound(template)


def environment(*folders: Path) -> Environment:
    """Return the environment of the templates in *folders* of this package, then of the kit's; everything shown is escaped."""
    loader: BaseLoader = ChoiceLoader(
        [
            Folders((*folders, _HERE / "templates")),
            PrefixLoader({COMPONENTS: PackageLoader(COMPONENTS)}),
        ]
    )
    made = Environment(
        loader=loader, autoescape=True, undefined=_Lenient, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    made.globals |= {
        "undefined": ChainableUndefined(),
        "null": None,
    }  # names of Nunjucks that GOV.UK's macros have kept
    made.globals["error"] = _error
    return made


@pass_context
def _error(context: Context, errors: Mapping[str, str], field: str) -> dict[str, str] | None:
    """Return the message beside *field*, if there is one. A screen reader says "Error" before it, in the page's language."""
    return {"text": errors[field], "visuallyHiddenText": context["t"]("Error")} if errors.get(field) else None


@cache
def static(name: str) -> tuple[bytes, str]:
    """Return content and media type of the file *name* of `static/`. Raises KeyError if there is none."""
    types = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
    found = {path.name: path for path in STATIC.iterdir()}
    return found[name].read_bytes(), types[PurePath(name).suffix]
