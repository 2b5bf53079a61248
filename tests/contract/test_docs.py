"""The pages beside the code: a newcomer finds each room, each setting and each topic explained where it is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import plain_yaml
from contract.tree import ROOT, files, lay, texts

VARIABLE = re.compile(r"\bNRMBUS_[A-Z0-9_]*[A-Z0-9]\b")
READ = re.compile("NRMBUS_|environ|getenv|Variable|BaseSettings")
"""Words of a module that reads a variable, as `settings` finds it; others need not be parsed."""


def readmes(root: Path) -> str:
    """All README pages under *root*, one after the other."""
    return "\n".join(text for name, text in texts(root) if name.rpartition("/")[2] == "README.md")


def undescribed_rooms(root: Path) -> list[str]:
    """Return each folder of rooms, and each top folder that a newcomer opens, without a page on its purpose."""
    services = root / "services" / "nrmbus"
    folders = {path.relative_to(services).parts[0] for path in files(services) if path.parent != services}
    wanted = [f"services/nrmbus/{folder}" for folder in folders]
    wanted += [folder for folder in ("benchmarks", "deploy", "schemas", "services") if (root / folder).exists()]
    pages = {
        path.parent.relative_to(root).as_posix()
        for path in files(root)
        if path.name == "README.md" and path.stat().st_size
    }
    return sorted(set(wanted) - pages)


def settings(tree: ast.Module) -> Iterator[str]:
    """Environment variables that the code reads: os.environ and getenv with a constant name, and fields of settings classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if VARIABLE.fullmatch(text):
                yield text
            case ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name))):
                yield name
            case ast.Call(
                func=ast.Attribute(attr="get", value=ast.Attribute(attr="environ")),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name
            case ast.Call(func=ast.Name(id="Variable"), args=[ast.Constant(value=str(name)), *_]):
                yield name
            case ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(name)), *_]):
                yield name
            case ast.ClassDef(bases=bases) if any(ast.unparse(base).endswith("BaseSettings") for base in bases):
                yield from fields(node)
            case _:
                pass


def fields(node: ast.ClassDef) -> Iterator[str]:
    """The variables of one pydantic-settings class: its prefix and each field's name, in capitals."""
    prefixes = [
        word.value.value
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call)
        for word in inner.keywords
        if word.arg == "env_prefix" and isinstance(word.value, ast.Constant)
    ]
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id != "model_config":
            yield f"{''.join(map(str, prefixes))}{item.target.id}".upper()


def unexplained_variables(root: Path) -> list[str]:
    """Each environment variable that code under *root* reads and no page explains."""
    pages = readmes(root)
    used: set[str] = set()
    for name, text in texts(root):
        if name.startswith(("services/", "benchmarks/")) and name.endswith(".py") and READ.search(text):
            used.update(settings(ast.parse(text)))
    return sorted(name for name in used if not re.search(rf"\b{name}\b", pages))


def unexplained_topics(root: Path) -> list[str]:
    """Each topic declared in deploy/topics that no page names."""
    pages = readmes(root)
    declared = (root / "deploy" / "topics").glob("*.yaml")
    named = [plain_yaml.read(path.read_text(encoding="utf-8"))["topic"] for path in declared]
    return sorted(name for name in named if name not in pages)


def test_every_room_says_what_it_is_for() -> None:
    """Every folder of rooms has a page that states the room's one promise."""
    assert undescribed_rooms(ROOT) == []


def test_every_environment_variable_is_explained() -> None:
    """A setting that no page names can only be found by reading the code."""
    assert unexplained_variables(ROOT) == []


def test_every_topic_is_explained() -> None:
    """Every topic is explained on a page."""
    assert unexplained_topics(ROOT) == []


def test_a_room_without_a_page_is_found(tmp_path: Path) -> None:
    """Sabotage: a new room, and one whose page is empty, are named."""
    lay(tmp_path, {"services/README.md": "x", "services/nrmbus/court/app.py": "", "services/nrmbus/bus/README.md": ""})

    assert undescribed_rooms(tmp_path) == ["services/nrmbus/bus", "services/nrmbus/court"]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import os\nx = os.environ['NRMBUS_DATA']", "NRMBUS_DATA"),
        ("import os\nx = os.environ.get('OTEL_X')", "OTEL_X"),
        ("import os\nx = os.getenv('XDG_X', '')", "XDG_X"),
        ("NAME = 'NRMBUS_TOKEN'", "NRMBUS_TOKEN"),
        ("X = Variable('CACHE_X', by='operator', default='none', does='')", "CACHE_X"),
        ("class S(BaseSettings):\n    model_config = Config(env_prefix='NRMBUS_')\n    bus: str", "NRMBUS_BUS"),
    ],
)
def test_an_unexplained_variable_is_found(tmp_path: Path, code: str, name: str) -> None:
    """Sabotage: each way of reading a variable is noticed, until a page names it."""
    lay(tmp_path, {"services/nrmbus/bus/settings.py": code, "README.md": "nothing"})
    assert unexplained_variables(tmp_path) == [name]

    lay(tmp_path, {"README.md": f"Set `{name}`."})
    assert unexplained_variables(tmp_path) == []


def test_an_unexplained_topic_is_found(tmp_path: Path) -> None:
    """Sabotage: a declared topic is noticed, until a page names it."""
    lay(tmp_path, {"deploy/topics/inbox.yaml": "topic: nrm.inbox.{agency}\n", "README.md": "nothing"})
    assert unexplained_topics(tmp_path) == ["nrm.inbox.{agency}"]

    lay(tmp_path, {"deploy/README.md": "`nrm.inbox.{agency}` is one agency's."})
    assert unexplained_topics(tmp_path) == []
