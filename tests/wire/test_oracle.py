"""Letters and transactions read and written by somebody else's code: Go's standard library (1.26).

The tests run the Go program if Go is installed, and else use its answers from the day when the vectors were frozen.
"""

import json as plain
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nrmbus.published import vectors
from nrmbus.wire import base64, json
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Container
from wire.given import refused

pytestmark = pytest.mark.oracle

Ask = Callable[[dict[str, Any]], dict[str, Any]]
HERE = Path(__file__).parent / "oracle_go"


def frozen(name: str) -> dict[str, Any]:
    """A frozen vector."""
    vector: dict[str, Any] = plain.loads((vectors.FOLDER / name).read_text(encoding="utf-8"))
    return vector


LETTER, GO = frozen("letter.json"), frozen("letter-go.json")
CONTAINERS, TRANSACTION = frozen("container.json"), frozen("transaction.json")


def answered(request: dict[str, Any]) -> dict[str, Any]:
    """Return Go's stored answer to the same request about the frozen vectors."""
    if request["do"] in {"read", "prove"}:
        stored: dict[str, Any] = GO["answers"][digest_of(request)]
        return stored
    answer: dict[str, Any] = GO["opened"][request["to"]] if request["do"] == "open" else GO
    return answer


def digest_of(request: dict[str, Any]) -> str:
    """Return the name of a stored answer."""
    return json.digest(json.dumps(request))[:16]


@pytest.fixture(scope="module", name="ask")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Run the Go program, built from its source here; without Go 1.26, use its stored answers."""
    go, program = shutil.which("go"), tmp_path_factory.mktemp("oracle") / "oracle"
    # Nothing is fetched: the standard library is all it needs, and an older Go lacks this package.
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-mod=mod"}
    if (
        go is None
        or subprocess.run(
            [go, "list", "crypto/hpke"], check=False, capture_output=True, cwd=HERE, env=environment
        ).returncode
    ):
        return answered
    subprocess.run([go, "build", "-o", str(program), "."], check=True, cwd=HERE, env=environment)

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        written = plain.dumps(request, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        done = subprocess.run([str(program)], input=written, capture_output=True, text=True, check=True)
        answer: dict[str, Any] = plain.loads(done.stdout)
        return answer

    return ask


@pytest.mark.parametrize("reader", vectors.READERS)
def test_go_opens_our_letters(ask: Ask, reader: str) -> None:
    """Go finds the same key, digest and parts in each reader's copy as this code."""
    copy = LETTER["copies"][reader]
    answer = ask(
        {"do": "open", "place": LETTER["place"], "seed": LETTER["readers"][reader], "to": reader, "container": copy}
    )

    assert answer["kid"] == SealingKey.from_seed(base64.decode(LETTER["readers"][reader], "unreadable")).kid
    assert answer["sealeddigest"] == LETTER["sealeddigest"]
    assert answer["parts"] == {part: LETTER["parts"][part] for part, to in LETTER["audience"].items() if reader in to}
    assert answer == GO["opened"][reader]


@pytest.mark.parametrize("reader", vectors.READERS)
def test_we_open_letters_of_go(ask: Ask, reader: str) -> None:
    """A letter sealed by Go has Go's digest here, and opens for its readers."""
    answer = ask(GO["request"])
    container = Container.parse(base64.decode(answer["container"], "letter_malformed"))
    key = SealingKey.from_seed(vectors.seed(reader))
    opened = Container.parse(container.copy_for(reader)).open(reader, key, **GO["place"])

    assert container.digest == answer["sealeddigest"]
    assert opened == {part: GO["parts"][part] for part, to in GO["audience"].items() if reader in to}


SOUND = base64.decode(CONTAINERS["sound"][0]["container"], "letter_malformed")
READ = [
    *((row["name"], base64.decode(row["container"], "letter_malformed"), None) for row in CONTAINERS["sound"]),
    *((row["name"], vectors.edited(SOUND, row), row["code"]) for row in CONTAINERS["refused"]),
]
PROVED = [
    *((row, None) for tree in TRANSACTION["transactions"] for row in tree["statements"]),
    *((row, row["code"]) for row in TRANSACTION["refused"]),
]


@pytest.mark.parametrize(("raw", "code"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_both_refuse_the_same_containers(ask: Ask, raw: bytes, code: str | None) -> None:
    """A sound container has the same digest in both, copies too; a malformed one has the same code."""
    answer = ask({"do": "read", "container": base64.encode(raw)})

    assert answer == ({"code": code} if code else {"sealeddigest": CONTAINERS["sealeddigest"]})
    if code is None:
        assert Container.parse(raw).digest == CONTAINERS["sealeddigest"]
    else:
        refused(code, lambda: Container.parse(raw))


@pytest.mark.parametrize(("row", "code"), PROVED, ids=range(len(PROVED)))
def test_go_verifies_each_statement_of_a_transaction(ask: Ask, row: dict[str, Any], code: str | None) -> None:
    """Go computes the root from the header alone and finds the registrar's signature, or the code of the vector."""
    request = {"do": "prove", "thing": row["thing"], "public": TRANSACTION["public"], "header": row["header"]}

    assert ask(request) == ({"code": code} if code else {"json": row["json"]})
