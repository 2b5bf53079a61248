"""Write deploy/SETTINGS.md again from the code: every setting with its default, its place and its meaning."""

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nrmbus import environment
from nrmbus.bus.agency_folder import AgencySettings
from nrmbus.bus.folder import BusSettings, Listening
from nrmbus.cli.app import COMMANDS, loaded
from nrmbus.directory.admission import Newcomer

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "deploy" / "SETTINGS.md"
OPERATOR, AGENCY, AUDITOR, EVERYONE = "operator", "agency", "auditor", "everyone"
BY = {
    "publish import document history inbox join agency.request agency.rotate agency.lost agency.check agency.renew agency.retire ledger token staff webhook conformance figures": AGENCY,
    "up play doctor topics cluster backup restore invite admitter agency standby keys.protect": OPERATOR,
    "replay why trace reads person-report export verify recount auditor erasure retention": AUDITOR,
    "run status check upgrade keys schema sandbox rules": EVERYONE,
}
"""Commands, by the one who gives them. A subcommand without an entry of its own has its group's."""
HEADINGS = {
    OPERATOR: "The operator sets these on the machine of the bus.",
    AGENCY: "An agency sets these on the machine of its desk.",
    AUDITOR: "An auditor sets these for each question.",
    EVERYONE: "Everybody sets these, each on their own machine.",
}
HEAD = """\
# Settings
This page is made from the code by `make settings`; a test fails if the page is older than the code.
Each group has the settings of those who set them: the operator of a bus, an agency with a desk, an auditor, and everyone.
The other pages say how the settings are used, beginning with [README.md](README.md).

A setting stands in one place: the environment, a file, or an option of a command.
If a setting has both an option and a variable, the option comes first.
No setting holds a secret: `NRMBUS_KEY_FILE` names a file, and passwords are typed.
"""


class Row(NamedTuple):
    """Setting on the page."""

    name: str
    default: str
    where: str
    does: str


def described(owner: type) -> dict[str, str]:
    """Return the docstring of each field of the dataclass *owner*, on one line; exit with a sentence if one has none."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(owner)).body if isinstance(node, ast.ClassDef))
    found = {}
    for field, below in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[field.target.id] = " ".join(text.split())
                case _:
                    sys.exit(f"nrmbus: {owner.__name__}.{field.target.id} is a setting: describe it below its line.")
    return found


def variables() -> Iterator[tuple[str, Row]]:
    """Yield the row of each environment variable, once for each group of those who set it."""
    for each in vars(environment).values():
        if isinstance(each, environment.Variable):
            for by in each.by.split(", "):
                yield by, Row(f"`{each.name}`", each.default, "environment", each.does)


def in_files() -> Iterator[tuple[str, Row]]:
    """Yield the row of each setting in a file that a person writes, and the group of those who set it."""
    for line in (ROOT / "deploy" / "quotas.yaml").read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"(\w+): (\S+) +# (.+)", line):
            yield OPERATOR, Row(f"`{found[1]}`", found[2], "file `deploy/quotas.yaml`", found[3])
    for name, text in described(Newcomer).items():
        default = "required" if name == "role" else "none"
        yield OPERATOR, Row(f"`{name}`", default, "file of `nrmbus up --agencies`, per agency", text)
    for name, text in described(AgencySettings).items():
        yield AGENCY, Row(f"`{name}`", "none", "file `agency.json` of the desk", text)


def commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield the whole name and the object of *command*, or of each command below it if it is a group."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for sub, below in command.commands.items():
        yield from commands(f"{name} {sub}", below)


def by_whom(name: str) -> str:
    """Return who gives the command *name*; exit with a sentence if `BY` does not say."""
    words = name.split(" ")
    for known in (".".join(words[:2]), words[0]):
        for names, by in BY.items():
            if known in names.split():
                return by
    sys.exit(f"nrmbus: who gives nrmbus {name}? Add it to BY in .ci/settings.py.")


NAMED = 8
"""Most commands that a row names; beyond that it counts them."""
KEPT = {
    **dict.fromkeys(described(BusSettings).keys() - {"bus"}, "; kept in `bus.json` for good"),
    "listen": "; kept in `listen.json`",
    **dict.fromkeys(described(Listening), "; kept in `listen.json`"),
    "canary": "; kept in `canary.json`",
    "without_auditor": "; kept in `audited-elsewhere`",
}
"""Where a bus keeps an option of `nrmbus up`, by the option's name."""


def options() -> Iterator[tuple[str, Row]]:
    """Yield the row of each option of a command, and the group of those who give it; commands with the same option share a row."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for top in COMMANDS:
        for name, command in commands(top, loaded(top)):
            for each in command.params:
                if each.param_type_name != "option":
                    continue
                if not each.help:
                    sys.exit(f"nrmbus: nrmbus {name} {each.opts[0]} has no help: write one.")
                flags = " ".join(
                    [" / ".join([*each.opts, *each.secondary_opts]), *([each.metavar] if each.metavar else [])]
                )
                kept = KEPT.get(str(each.name), "") if name == "up" else ""
                default, does = default_of(each)
                found.setdefault((f"`{flags}`", default, kept, does), []).append(name)
    for (flags, default, kept, does), names in found.items():
        whom = {*map(by_whom, names)}
        where = ", ".join(f"`{name}`" for name in names) if len(names) <= NAMED else f"{len(names)} commands"
        yield whom.pop() if len(whom) == 1 else EVERYONE, Row(flags, default, f"option of {where}{kept}", does)


def default_of(option: Any) -> tuple[str, str]:
    """Return the default of *option* in words, and its help without the default."""
    text = re.fullmatch(r"(?P<does>.+?) \((?:default|(?P<part>[A-Z]+)): (?P<default>.+)\)", option.help)
    if text:
        return " ".join(filter(None, (text["part"], text["default"]))), text["does"]
    if option.required:
        return "required", option.help
    if option.default is False:
        return "off", option.help
    return "none" if option.default is None else f"`{option.default}`", option.help


def page() -> str:
    """Return the page."""
    groups: dict[str, list[Row]] = {by: [] for by in HEADINGS}
    for by, row in (*variables(), *in_files(), *options()):
        groups[by].append(row)
    return HEAD + "".join(section(by, rows) for by, rows in groups.items())


def section(by: str, rows: Iterable[Row]) -> str:
    """Return the part of the page for those who set *rows*."""
    table = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)
    return f"\n## {by.capitalize()}\n{HEADINGS[by]}\n\n| setting | default | set in | does |\n| --- | --- | --- | --- |\n{table}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
