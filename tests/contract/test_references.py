"""References in code and pages lead somewhere: decisions, rules, readings, sections of the wire, pages."""

import re
from pathlib import Path

import pytest

from contract.test_bases import anchors
from contract.tree import ROOT, files, lay, texts

RULES = "services/nrmbus/rules/RULES.md"
WIRE = "services/nrmbus/wire/README.md"
DECISIONS = "services/decisions"
READ = (".py", ".md", ".yaml", ".yml", ".toml", ".j2")

DECISION = re.compile(r"\bdecisions?(?: record)? (\d{4}(?:(?:, | and | or )\d{4})*)(, section \d)?", re.IGNORECASE)
RULE = re.compile(r"(?<![\w./-])(G-\d\d|D-[A-Z][A-Z0-9]+|T\d\db?|I-\d{1,2}|C\d{1,2})(?![\w:-])")
NOT_HERE = re.compile(r"\b(rules-az|field notes)\b")
READING = re.compile(r"\breading (\d+)\b")
SECTION = re.compile(r"(?<![\w+/-])W(\d{1,2})(?![\w=+/-])")
PAGE = re.compile(r"(?<![\w/.*{}<>-])(?:\.\./)*([\w.-]+(?:/[\w.-]+)*\.md)\b")

MADE_UP = {
    ".ci/docs.py": {"index.md"},
    "tests/contract/test_site.py": {
        "index.md",
        "services/index.md",
        "pages/index.md",
        "elsewhere/page.md",
        "gone.md",
        "link.md",
    },
    "tests/contract/test_glossary.py": {"there.md", "gone.md", "page.md"},
    "services/nrmbus/cli/operate/rule_documents.py": {"rules.md", "procedures.md"},
    "services/nrmbus/cli/operate/topics.py": {"topics.md"},
    "tests/auditor/reports/test_rejudge.py": {"G-99"},
    "tests/desk/web/rules/test_a_legislators_copy.py": {"rules.md", "procedures.md"},
    "tests/rules/test_overlay.py": {"D-NEVER", "D-NEW", "D-REEFR"},
    "tests/rules/test_profile.py": {"G-99"},
}
"""References that lead nowhere on purpose: a test's sabotage, a file that a command would write."""
ELSEWHERE = {"cloudevents/extensions/verifiability.md", "extensions/verifiability.md"}
"""Pages of other projects."""


def sections(page: str) -> set[str]:
    """Return the numbers of the wire's sections that the headings of *page* name, ranges included, and marks in bold."""
    found: set[str] = set()
    for heading in re.findall(r"^## .*\(([^)]*)\)$", page, re.MULTILINE):
        numbers = re.findall(r"W(\d+)", heading)
        if " to " in heading:
            numbers = [str(number) for number in range(int(numbers[0]), int(numbers[1]) + 1)]
        found.update(numbers)
    return found | set(re.findall(r"\*\*.*\(W(\d+)\)", page))


def dangling(root: Path) -> list[str]:
    """Return each reference under *root* that leads nowhere, as ``path:line: reference``."""
    read = {
        name: text for name, text in texts(root) if name.endswith(READ) and name != "tests/contract/test_references.py"
    }
    pages = {path.relative_to(root).as_posix() for path in files(root) if path.suffix == ".md"}
    decisions = {name.rpartition("/")[2][:4] for name in pages if name.startswith(f"{DECISIONS}/0")}
    known, wire = set(anchors(read.get(RULES, ""))), sections(read.get(WIRE, ""))
    found = []
    for name, text in read.items():
        for number, line in enumerate(text.splitlines(), 1):
            missing = [
                f"decision {each}{section}"
                for cited, section in DECISION.findall(line)
                for each in re.findall(r"\d{4}", cited)
                if each not in decisions or section
            ]
            missing += NOT_HERE.findall(line)
            missing += [each for each in RULE.findall(line) if each.lower() not in known]
            missing += [f"reading {each}" for each in READING.findall(line) if f"r-{each}" not in known]
            missing += [f"W{each}" for each in SECTION.findall(line) if each not in wire]
            missing += [
                each
                for each in PAGE.findall(line)
                if each not in ELSEWHERE and not any(page == each or page.endswith(f"/{each}") for page in pages)
            ]
            found += [f"{name}:{number}: {each}" for each in missing if each not in MADE_UP.get(name, ())]
    return found


def unlisted(root: Path) -> list[str]:
    """Return each number up to the last decision without a file or without a line in the list of decisions, both ways."""
    listed = (root / DECISIONS / "README.md").read_text(encoding="utf-8")
    there = {path.name[:4]: path.name for path in (root / DECISIONS).glob("0*.md")}
    expected = {f"{number:04}" for number in range(1, int(max(there)) + 1)}
    unused = set(re.findall(r"^- (\d{4}): (?:not used|replaced by \d{4})", listed, re.MULTILINE))
    linked = dict(re.findall(r"^- \[(\d{4})\]\(([^)]+)\)", listed, re.MULTILINE))
    found = {number for number in expected if number not in unused and linked.get(number) != there.get(number)}
    return sorted(found | {number for number in expected - there.keys() if number not in unused})


@pytest.mark.thorough
def test_every_reference_leads_somewhere() -> None:
    """Every number in a comment, a message or a page leads to its text."""
    assert dangling(ROOT) == []


def test_the_list_of_decisions_has_every_number() -> None:
    """A gap in the numbers is explained, so that nobody looks for a missing page."""
    assert unlisted(ROOT) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("see decision 0001", []),
        ("see decisions 0001 and 0009", ["decision 0009"]),
        ("see decision record 0001, section 4", ["decision 0001, section 4"]),
        ("refused by G-32, see D-ACK, T03b, I-3 and C8", []),
        ("refused by G-33, see D-ASK, T04, I-4 and C9", ["G-33", "D-ASK", "T04", "I-4", "C9"]),
        ("at 2026-03-02T09:00:00Z, C2SP, R-1, and T09:00", []),
        ("reading 1, and reading 2", ["reading 2"]),
        ("the wire's W1, W4, W8 and W11", []),
        ("the wire's W3 and W17", ["W3", "W17"]),
        ("in rules/RULES.md, README.md and gone.md", ["gone.md"]),
        ("rules-az section 4", ["rules-az"]),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(tmp_path: Path, line: str, found: list[str]) -> None:
    """Sabotage: of each kind, a valid reference passes and an invalid one is named with its place."""
    lay(
        tmp_path,
        {
            RULES: "".join(f'<a id="{each}"></a>' for each in ("g-32", "d-ack", "t03b", "i-3", "c8", "r-1")),
            WIRE: "## JSON (W1)\n## Signature (W4, W5)\n**The digest** is this (W11).\n## Letter (W7 to W10)\n",
            f"{DECISIONS}/0001-first.md": "",
            "services/nrmbus/bus/x.py": f"\n# {line}\n",
        },
    )

    assert dangling(tmp_path) == [f"services/nrmbus/bus/x.py:2: {each}" for each in found]


def test_a_decision_outside_the_list_is_found(tmp_path: Path) -> None:
    """Sabotage: a gap, a page without a line, and a line without its page are named; a number said to be unused is not."""
    page = "- [0001](0001-a.md): a.\n- 0003: not used.\n- [0005](0005-gone.md): e.\n"
    lay(tmp_path, {f"{DECISIONS}/{name}": "" for name in ("0001-a.md", "0004-d.md", "0006-f.md")})
    lay(tmp_path, {f"{DECISIONS}/README.md": page})

    assert unlisted(tmp_path) == ["0002", "0004", "0005", "0006"]
