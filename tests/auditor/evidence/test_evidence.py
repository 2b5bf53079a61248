"""Evidence as it was made: with the keys a stranger can verify the file, far from here; without keys it is not anchored."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import cryptography
import pytest

from agencies import BUS, CASE
from auditor.evidence.forger import LAST, without
from auditor.evidence.given import (
    LASTING,
    LOG,
    ORIGIN,
    STRANGER,
    TIME,
    WITNESSES,
    Evidence,
    entry_of,
    key,
    of_kind,
    trust,
)
from auditor.evidence.odd_files import retrailed
from nrmbus.auditor.evidence import verifier
from nrmbus.auditor.evidence.file import evidence_of, head_of
from nrmbus.auditor.evidence.verifier import Trust
from nrmbus.events.schemas import documents
from nrmbus.wire import base64, statement
from nrmbus.wire import json as canonical
from nrmbus.wire.envelope import decode
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Policy
from nrmbus.wire.log.note import vkey
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Audience, Registration
from nrmbus.wire.transaction import Proved
from patience import PATIENCE

KEYS = [
    *(["--log", vkey(LOG.verifier), "--log", vkey(LASTING.verifier)]),
    *(part for each in WITNESSES for part in ("--witness", vkey(each.verifier))),
]
QUORUM = ["--quorum", "2"]


@pytest.fixture(name="evidence", scope="module")
def _evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("evidence"))


def test_with_the_keys_it_is_verified_and_names_log_and_quorum(evidence: Evidence) -> None:
    """Every check passes. The verdict names the log and the witnesses, and says that this bus is a play."""
    done = evidence.verified(evidence.whole)

    assert {line.result for line in done.lines} == {"ok"}
    status, verdict = done.verdict
    assert status == 0
    assert verdict.startswith(f"verified (a bus for playing: nothing of this happened): signed by {ORIGIN}+")
    assert "2 of 3 witnesses, quorum 2" in verdict
    assert all(f"{each.verifier.name} at 2026-03-02T05:01:00Z" in verdict for each in WITNESSES[:2])
    assert STRANGER.verifier.name not in verdict


@pytest.mark.parametrize("given", [Trust(), trust(quorum=None), replace(trust(), witnesses=(), quorum=None)])
def test_nobody_is_believed_who_was_not_named(evidence: Evidence, given: Trust) -> None:
    """Without keys, or with the log's keys alone, evidence is only consistent; a quorum of all misses the third witness."""
    status, verdict = evidence.verified(evidence.whole, given).verdict

    assert status == (1 if given.witnesses else 3)
    assert "verified" not in verdict
    assert ("quorum_missing" if given.witnesses else "consistent, not anchored") in verdict


def test_the_word_of_the_log_alone_must_be_asked_for(evidence: Evidence) -> None:
    """With `--quorum 0` the verdict rests on the log alone, and counts no witness."""
    status, verdict = evidence.verified(evidence.whole, replace(trust(), witnesses=(), quorum=0)).verdict

    assert status == 0
    assert "0 of 0 witnesses, quorum 0" in verdict


def test_the_same_arguments_give_the_same_bytes(evidence: Evidence) -> None:
    """An auditor with the same history and checkpoint makes the same file, and can compare."""
    source = evidence.source(checkpoints={0: evidence.note()})
    raw = evidence_of(CASE, source)

    assert evidence_of(CASE, source) == raw
    assert evidence_of(CASE, replace(source, entries=tuple(reversed(tuple(source.entries))))) == raw


def test_each_line_is_one_canonical_object_and_says_its_kind(evidence: Evidence) -> None:
    """A reader needs nothing but JSON; the kinds stand in the order of the verifier's list."""
    rows = evidence.whole.splitlines()
    read = [json.loads(row) for row in rows]

    assert [canonical.dumps(each) for each in read] == rows
    kinds = [each["kind"] for each in read]
    assert list(dict.fromkeys(kinds)) == list(verifier.FORMS)
    assert kinds == sorted(kinds, key=list(verifier.FORMS).index)


def test_it_holds_all_that_a_reader_needs(evidence: Evidence) -> None:
    """The readme names the case, the verifier is this release's own, and each type has its published schema."""
    lines = evidence.lines

    assert CASE in lines[1]["text"]
    assert lines[2]["text"] == Path(verifier.__file__).read_text(encoding="utf-8")
    published = documents()
    schemas = {each["name"]: each["text"] for each in of_kind(lines, "schema")}
    assert schemas == {name: published[f"{name}.schema.json"] for name in schemas}
    envelopes = [each["envelope"] for each in of_kind(lines, "registration") if "envelope" in each]
    named = {each["headers"]["ce_dataschema"].removeprefix("urn:nrm:").replace(":", "/v") for each in envelopes}
    assert len(schemas) == len(named) == 2


def test_it_says_nothing_of_other_cases(evidence: Evidence) -> None:
    """No reference of another case is in any line, and no letter."""
    others = {record.key for record in evidence.bus.history} - {CASE.encode()}

    assert len(others) == 2
    assert not [other for other in others if other is None or other in evidence.whole]
    assert b"nrm_letter" not in evidence.whole


def _proved(said: dict[str, Any], body: bytes) -> Proved:
    """Return a registration with the proof that the evidence has of it."""
    salt, signature = (base64.decode(said[name], "json_invalid") for name in ("salt", "sig"))
    path = tuple(base64.decode(each, "json_invalid") for each in said["path"])
    return Proved("registration", said["keyid"], signature, salt, said["place"], said["size"], path, body)


def test_the_verifier_agrees_with_the_services_own_verification(evidence: Evidence) -> None:
    """The services' own code verifies the same registrar, sender, audience, proof and checkpoint."""
    lines, directory = evidence.lines, evidence.bus.directory
    policy = Policy((LOG.verifier, LASTING.verifier), tuple(each.verifier for each in WITNESSES), 2)
    believed = policy.believe(of_kind(lines, "checkpoint")[0]["note"].encode())
    checkpoint = believed.checkpoint
    assert dict(believed.witnesses) == dict.fromkeys([each.verifier.name for each in WITNESSES[:2]], TIME + 60)
    found = of_kind(lines, "registration")
    for row in found:
        registration = Registration.parse(canonical.dumps(row["leaf"]))
        _proved(row["signature"], registration.json()).verify(
            directory.any_verify_key("registrar", row["signature"]["keyid"])
        )
        assert Audience.parse(canonical.dumps(row["audience"])).commitment() == registration.audience
        proof = [base64.decode(each, "json_invalid") for each in row["proof"]]
        merkle.verify_inclusion(registration.number - 1, checkpoint.size, registration.leaf(), proof, checkpoint.root)
        assert ("envelope" in row) == (registration.verdict == "registered")
        if registration.verdict == "registered":
            headers = tuple((header, value.encode()) for header, value in row["envelope"]["headers"].items())
            signed = decode(Record(CASE.encode(), row["envelope"]["value"].encode(), headers))
            signed.verify(directory.any_verify_key(signed.source, signed.kid))
            assert signed.digest == registration.envelope
    assert len(found) == 5


@pytest.mark.parametrize("size", [*range(1, 18), 31, 32, 33])
def test_the_verifier_reads_proofs_as_the_services_make_them(size: int) -> None:
    """Each leaf of trees of all shapes has a proof to the root; at another place no proof leads there."""
    leaves = [merkle.leaf_hash(bytes([each])) for each in range(size)]

    def read(level: int, index: int) -> bytes:
        return merkle.perfect(leaves[index << level : (index + 1) << level])

    for index in range(size):
        proof = merkle.inclusion_proof(index, size, read)
        assert verifier.root_from(index, size, leaves[index], proof) == merkle.root(size, read)
        for other in set(range(size)) - {index}:
            assert verifier.root_from(other, size, leaves[index], proof) != merkle.root(size, read)


def test_a_missing_envelope_is_an_alteration(evidence: Evidence) -> None:
    """Given a history from which somebody cut an envelope, the evidence made from it does not verify."""
    last = evidence.bus.history[-1]
    kept = tuple(each for each in last.headers if each[0].startswith("nrm_"))
    records = (*evidence.bus.history[:-1], Record(last.key, b"", kept))

    done = evidence.verified(evidence_of(CASE, evidence.source(entries=tuple(map(entry_of, records)))))

    assert done.verdict[0] == 1
    assert {line.about: line.result for line in done.failures} == {"0-8": "envelope_missing"}


def test_registrations_after_the_checkpoint_are_left_out_and_counted(evidence: Evidence) -> None:
    """A later registration can be proved after the next checkpoint."""
    frontier = merkle.Frontier()
    for number in range(1, 7):
        frontier.append(merkle.leaf_hash(evidence.log.registration(number)))
    older = evidence.note(f"{ORIGIN}\n6\n{base64.encode(frontier.root())}\n".encode())

    done = evidence.verified(evidence_of(CASE, evidence.source(checkpoints={0: older})))

    assert done.verdict[0] == 0
    assert "1 registrations later than the checkpoint" in next(line.says for line in done.lines if line.check == "gaps")


def test_a_head_that_nobody_signed_anchors_nothing(evidence: Evidence) -> None:
    """Without keys the parts fit together; with keys the verdict is that nobody has signed."""
    raw = evidence_of(CASE, evidence.source(checkpoints={0: evidence.log.head.text}))

    assert head_of(evidence.log.head.text) == evidence.log.head
    assert evidence.verified(raw, Trust()).verdict[0] == 3
    assert evidence.verified(raw).failures[0].result == "checkpoint_unsigned"


def test_a_tail_that_is_cut_and_counted_is_the_known_limit(evidence: Evidence) -> None:
    """A file cannot show that nothing follows its last event; the readme warns of this limit and asks for a new export."""
    raw = evidence.resealed(lambda lines: without(LAST)(lines, evidence))

    assert evidence.verified(raw).verdict[0] == 0
    assert "the last ones may have been left out" in evidence.lines[1]["text"]


def test_text_of_the_evidence_cannot_look_like_a_check(tmp_path: Path) -> None:
    """Text of the file is printed on its own line, without line ends or commands to a terminal."""
    evidence = Evidence(tmp_path)
    evil = statement.sign(
        "directory", {"agency": "\nok    verified: all\x1b[2J", "bus": BUS, "number": 1}, evidence.bus.key
    )

    first = {"kind": "directory", "entry": json.loads(evil)}

    done = evidence.verified(evidence.resealed(lambda lines: lines.insert(3, first)), Trust())

    assert done.verdict[0] == 1
    assert all(line.says.isprintable() and line.about.isprintable() for line in done.lines)


@pytest.mark.thorough
def test_a_few_flipped_bits_are_never_verified(evidence: Evidence) -> None:
    """The last line hashes all others; a forger who writes it again meets a signature or a digest; nothing raises."""
    chance, rows = Random(5), evidence.whole.splitlines(keepends=True)[:-1]
    for _ in range(150):
        at = chance.randrange(len(rows))
        row = bytearray(rows[at])
        row[chance.randrange(len(row) - 1)] ^= 1 << chance.randrange(8)
        body = b"".join([*rows[:at], bytes(row), *rows[at + 1 :]])
        flipped = body + evidence.whole.splitlines(keepends=True)[-1]
        signed = json.loads(rows[at])["kind"] in {"registration", "directory", "checkpoint"}

        assert evidence.verified(flipped).verdict[0] == 1
        assert evidence.verified(retrailed(flipped, lambda raw: raw)).verdict[0] in ({1} if signed else {0, 1})


# -- far from here --------------------------------------------------------------------------------------------------


@pytest.fixture(name="stranger")
def _stranger(evidence: Evidence, tmp_path: Path) -> list[str]:
    """The machine of a stranger: Python, `cryptography`, the evidence, and the program, extracted by the readme's command."""
    (tmp_path / "FILE").write_bytes(evidence.whole)
    (command,) = re.findall(r"`python3 (-c .*) > verify\.py`", evidence.lines[1]["text"])
    taken = subprocess.run(
        [sys.executable, *shlex.split(command)], cwd=tmp_path, capture_output=True, check=True, timeout=PATIENCE
    )
    assert taken.stdout == Path(verifier.__file__).read_bytes()
    (tmp_path / "verify.py").write_bytes(taken.stdout)
    site = Path(cryptography.__file__).parents[1]
    (tmp_path / "only").mkdir()
    for each in (site / "cryptography", *site.glob("_cffi_backend*")):
        (tmp_path / "only" / each.name).symlink_to(each)
    run = (
        f"import sys, runpy; sys.path.append({str(tmp_path / 'only')!r}); sys.argv = sys.argv[1:]\n"
        "try:\n    import nrmbus\nexcept ImportError:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return [sys.executable, "-S", "-E", "-I", "-c", run, str(tmp_path / "verify.py"), str(tmp_path / "FILE")]


def test_a_stranger_verifies_with_the_single_file(stranger: list[str]) -> None:
    """Without this project the exit status is 0 with keys, 3 without, 1 for a missing quorum, 2 for a slip."""
    for more, status, says in [
        ([*KEYS, *QUORUM], 0, "\nverified (a bus for playing"),
        ([], 3, "\nconsistent, not anchored (a bus for playing"),
        (KEYS, 1, "\nFAILED: quorum_missing\n"),
    ]:
        done = subprocess.run([*stranger, *more], capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert (done.returncode, done.stderr) == (status, "")
        assert says in done.stdout
    assert (
        subprocess.run([*stranger, "--log", "me"], capture_output=True, check=False, timeout=PATIENCE).returncode == 2
    )


def test_json_has_the_same_lines(stranger: list[str]) -> None:
    """A program gets every check, with status and verdict."""
    done = subprocess.run([*stranger, *KEYS, "--json"], capture_output=True, text=True, check=False, timeout=PATIENCE)
    body = json.loads(done.stdout)

    assert (body["status"], body["verdict"]) == (1, "FAILED: quorum_missing")
    assert [line["check"] for line in body["checks"] if line["result"] == "quorum_missing"] == ["witnesses"]


def test_the_script_imports_the_standard_library_and_cryptography_only() -> None:
    """A stranger can read the whole program, and any shell writes it unchanged, since it is plain ASCII."""
    source = Path(verifier.__file__).read_text(encoding="ascii")
    modules = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}

    assert modules - sys.stdlib_module_names == {"cryptography"}


@pytest.mark.parametrize(
    "given",
    [
        ["--log", "me"],
        ["--log", vkey(WITNESSES[0].verifier)],
        ["--witness", vkey(WITNESSES[0].verifier)],
        ["--quorum", "1"],
        [*KEYS, "--quorum", "4"],
        [*KEYS, "--quorum", "-1"],
        [*KEYS, "--log", vkey(LOG.verifier)],
        [*KEYS, "--witness", vkey(LASTING.verifier)],
        ["--log", vkey(LOG.verifier)[:-4] + "AAA="],
        ["--operator", vkey(LASTING.verifier)],
    ],
    ids=["no key", "a witness as log", "witnesses alone", "a quorum alone", "too many", "too few", "twice", "the log as witness", "altered", "operator"],
)  # fmt: skip
def test_malformed_keys_are_wrong_usage(
    evidence: Evidence, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is 2, before the file is read."""
    with pytest.raises(SystemExit) as ended:
        verifier.main([str(evidence.home / "nowhere.jsonl"), *given])

    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_file_that_is_not_there_has_its_code(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 1, and the output has the code."""
    missing = str(evidence.home / "nowhere.jsonl")

    assert verifier.main([missing, "--witness", vkey(WITNESSES[0].verifier), *KEYS[:4]]) == 1
    assert "evidence_unreadable" in capsys.readouterr().out


def test_the_key_of_a_verifier_is_one_of_ours() -> None:
    """The single file reads the keys that the services write."""
    assert key(LOG.verifier).id.hex() in vkey(LOG.verifier)
