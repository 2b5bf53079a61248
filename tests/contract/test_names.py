"""Names of topics: declared in ``deploy/topics/``, written once in ``wire/names.py``, and imported everywhere else."""

import ast
import re
from pathlib import Path

from contract.tree import ROOT, files, lay
from nrmbus.bus.kafka.declarations import load_declarations
from nrmbus.wire import names

SERVICES = ROOT / "services" / "nrmbus"
ELSEWHERE = {
    Path("wire/names.py"): "writes them",
    Path("auditor/evidence/verifier.py"): "is handed to a stranger as one file",
    Path("published/vectors.py"): "writes out what other languages must reproduce",
}
WRITTEN = {value for value in vars(names).values() if isinstance(value, str) and value.startswith("nrm.")}


def spelled(root: Path) -> list[str]:
    """Return each string in a Python file below *root* that spells the name of a topic, as ``path:line``."""
    topic = re.compile("|".join(re.escape(each) + ("" if each.endswith(".") else r"(?![\w.])") for each in WRITTEN))
    sources = [path for path in files(root) if path.suffix == ".py" and path.relative_to(root) not in ELSEWHERE]
    return [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sources
        if topic.search(text := path.read_text(encoding="utf-8"))  # most have none and need not be parsed
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and topic.match(node.value)
    ]


def test_every_name_is_a_declared_topic() -> None:
    """A name that no topic file declares would be a topic that nobody may write."""
    declared = {each.topic.removesuffix("{agency}") for each in load_declarations()}

    assert WRITTEN
    assert declared >= WRITTEN


def test_no_other_module_spells_a_topic() -> None:
    """A topic that is renamed or added is one line; the consumer and the producer cannot disagree."""
    assert spelled(SERVICES) == []


def test_a_topic_spelled_elsewhere_is_found(tmp_path: Path) -> None:
    """Sabotage: a constant, and the beginning of a formatted name; a schema's name that begins like a topic is none."""
    lay(tmp_path, {"desk/app.py": 'A = "nrm.cases"\nB = f"nrm.inbox.{A}"\nC = "nrm.case.closed"\nD = "nrm.cases_of"\n'})

    assert spelled(tmp_path) == ["desk/app.py:1", "desk/app.py:2"]
