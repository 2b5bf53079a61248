"""The door's document as a page for people: one HTML file that loads nothing, from ``templates/page.html.j2``; and what such pages share."""

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from nrmbus.packed import packed
from nrmbus.web.look import Folders

_TEMPLATES: Final = Path(__file__).parent / "templates"
_QUOTED: Final = re.compile("`([^`]+)`")
_JOINTS: Final = re.compile("([._/])")
_EVENT: Final = re.compile(r"nrm\.([a-z_.]+)\.v([1-9][0-9]*)\.(data|letter)")


def environment_of(folder: Path) -> Environment:
    """Return the environment of the templates in *folder*, with the style and the filters of all pages of documents."""
    environment = Environment(
        loader=Folders((folder, _TEMPLATES)),
        autoescape=select_autoescape(["j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": _code, "breaks": _breaks, "form": _form}
    return environment


def page(document: Mapping[str, Any]) -> str:
    """Return the HTML page of the *document* of `nrmbus.desk.http.document`. Equal documents give equal pages."""
    schemas = document["components"]["schemas"]
    return (
        environment_of(_TEMPLATES)
        .get_template("page.html.j2")
        .render(
            document=document,
            info=document["info"],
            subjects=_subjects(document),
            models={name: schema for name, schema in schemas.items() if "." not in name and "properties" in schema},
            types=_types(schemas),
        )
    )


def policy() -> str:
    """Return the Content-Security-Policy of the page: nothing but its own style."""
    style = b"\n" + packed("desk/http/templates/page.css").read_bytes()  # as it stands in its element
    return f"default-src 'none'; style-src 'sha256-{b64encode(sha256(style).digest()).decode()}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def _subjects(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tags, each with its routes."""
    found: dict[str, dict[str, Any]] = {tag["name"]: {**tag, "routes": []} for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            answers = {status: each for status, each in operation["responses"].items() if status < "300"}
            refusals = [
                (status, code, example["value"]["sentence"])
                for status, each in operation["responses"].items()
                for media in each["content"].values()
                for code, example in media.get("examples", {}).items()
            ]
            scopes = [
                scope for scheme in operation.get("security", ()) for needed in scheme.values() for scope in needed
            ]
            route = {**operation, "path": path, "method": method.upper(), "answers": answers, "refusals": refusals}
            found[operation["tags"][0]]["routes"].append(
                {**route, "scopes": scopes, "body": _body(document, operation)}
            )
    return [each for each in found.values() if each["routes"]]


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    body = operation.get("requestBody")
    if body is None:
        return None
    named: Mapping[str, Any] = document["components"]["requestBodies"]
    return named[body["$ref"].rpartition("/")[2]] if "$ref" in body else body  # type: ignore[no-any-return]  # JSON


def _types(schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events that a system may publish, each with the members of its newest version."""
    newest: dict[str, int] = {}
    for found in filter(None, map(_EVENT.fullmatch, schemas)):
        newest[found[1]] = max(newest.get(found[1], 0), int(found[2]))
    types = []
    for name, version in newest.items():
        if f"nrm.{name}" in schemas:
            stem = f"nrm.{name}.v{version}"
            parts = {part: schemas.get(f"{stem}.{part}", {}) for part in ("data", "letter")}
            types.append({"name": name, "version": version, "says": schemas[f"nrm.{name}"]["description"], **parts})
    return types


# -- filters ---------------------------------------------------------------------------------------------------------


def _code(text: str) -> Markup:
    """Return *text* as HTML, with code in backquotes; the documents use no other Markdown."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def _breaks(name: str) -> Markup:
    """Return a name that the browser may break after a dot, an underscore or a slash."""
    return Markup(_JOINTS.sub(r"\1<wbr>", str(escape(name))))  # noqa: S704 - escaped just before


def _form(schema: Mapping[str, Any]) -> str:
    """Return the form of a value in one line."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_form(each) for each in schema["anyOf"])
    if schema.get("format") and schema.get("type") != "integer":
        return "YYYY-MM-DDTHH:MM:SSZ" if schema["format"] == "date-time" else str(schema["format"])
    if "pattern" in schema:
        return str(schema["pattern"])
    if schema.get("type") == "array":
        return "list of " + _form(schema["items"])
    if "maxLength" in schema:
        return f"text, at most {schema['maxLength']:,}"
    return str(schema.get("type", "any"))
