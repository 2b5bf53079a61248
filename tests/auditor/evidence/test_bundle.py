"""A bundle of evidence as it was made: whoever has the keys can verify it, far from here; whoever has none is told so."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import cryptography
import pytest

from auditor.evidence.given import LASTING, LOG, ORIGIN, STRANGER, TIME, WITNESSES, Evidence, key, trust, unpacked
from nrmbus.auditor.evidence import verifier
from nrmbus.auditor.evidence.bundle import bundle, head_of
from nrmbus.auditor.evidence.verifier import Trust, Verification, files_of
from nrmbus.wire import base64, statement
from nrmbus.wire.envelope import decode
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Policy
from nrmbus.wire.log.note import vkey
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Audience, verify_registration
from registrar.given import BUS, CASE

KEYS = [
    *(["--log", vkey(LOG.verifier), "--log", vkey(LASTING.verifier)]),
    *(part for each in WITNESSES for part in ("--witness", vkey(each.verifier))),
]
QUORUM = ["--quorum", "2"]


@pytest.fixture(name="evidence", scope="module")
def _evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("evidence"))


def test_with_the_keys_it_is_verified_and_names_log_and_quorum(evidence: Evidence) -> None:
    """Every check is well, and the verdict says whose word it rests on, and that this bus is a play."""
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
    """Without keys, and with the log's alone, it is consistent and no more; a quorum of all misses the third witness."""
    status, verdict = evidence.verified(evidence.whole, given).verdict

    assert status == (1 if given.witnesses else 3)
    assert "verified" not in verdict
    assert ("quorum_missing" if given.witnesses else "consistent, not anchored") in verdict


def test_the_word_of_the_log_alone_must_be_asked_for(evidence: Evidence) -> None:
    """And then the verdict says that no witness stands behind it."""
    status, verdict = evidence.verified(evidence.whole, replace(trust(), witnesses=(), quorum=0)).verdict

    assert status == 0
    assert "0 of 0 witnesses, quorum 0" in verdict


def test_a_folder_is_as_good_as_the_zip(evidence: Evidence, tmp_path: Path) -> None:
    """Line by line, but for its name."""
    unpacked(evidence, tmp_path)

    found = Verification(tmp_path, trust(operator=evidence.operator))

    assert found.lines[1:] == evidence.verified(evidence.whole).lines[1:]
    assert found.verdict[0] == 0


def test_the_same_arguments_give_the_same_bytes(evidence: Evidence) -> None:
    """Whoever has the history can make it again, and compare."""
    source = evidence.source(checkpoints={0: evidence.files["checkpoints/0.note"]})

    assert bundle(CASE, source) == bundle(CASE, source)
    assert bundle(CASE, replace(source, records=tuple(reversed(tuple(source.records))))) == bundle(CASE, source)


def test_it_says_nothing_of_other_cases(evidence: Evidence) -> None:
    """No reference of another case is in any file, and no letter."""
    others = {record.key for record in evidence.bus.history} - {CASE.encode()}

    assert len(others) == 2
    assert not [name for name, raw in evidence.files.items() for other in others if other and other in raw]
    assert b"nrm_letter" not in b"".join(
        evidence.files[name] for name in evidence.files if name.startswith("envelopes/")
    )


def test_the_verifier_agrees_with_the_services_own_verification(evidence: Evidence) -> None:
    """What it calls verified, the code of the services verifies too: registrar, sender, audience, proof, checkpoint."""
    files, directory = evidence.files, evidence.bus.directory
    policy = Policy((LOG.verifier, LASTING.verifier), tuple(each.verifier for each in WITNESSES), 2)
    believed = policy.believe(files["checkpoints/0.note"])
    checkpoint = believed.checkpoint
    assert dict(believed.witnesses) == dict.fromkeys([each.verifier.name for each in WITNESSES[:2]], TIME + 60)
    for raw in files["registrations.jsonl"].splitlines():
        row = json.loads(raw)
        registration = verify_registration(
            row["statement"].encode(), lambda kid: directory.any_verify_key("registrar", kid)
        )
        assert registration.json() == row["leaf"].encode()
        assert Audience.parse(row["audience"].encode()).commitment() == registration.audience
        name = f"{registration.partition}-{registration.number}.json"
        proof = [base64.decode(each, "json_invalid") for each in json.loads(files[f"proofs/{name}"])["hashes"]]
        merkle.verify_inclusion(registration.number - 1, checkpoint.size, registration.leaf(), proof, checkpoint.root)
        if registration.verdict == "registered":
            body = json.loads(files[f"envelopes/{name}"])
            headers = tuple((header, value.encode()) for header, value in body["headers"])
            signed = decode(Record(body["key"].encode(), body["value"].encode(), headers))
            signed.verify(directory.any_verify_key(signed.source, signed.kid))
            assert signed.digest == registration.envelope
    assert sum(name.startswith("proofs/") for name in files) == 5


@pytest.mark.parametrize("size", [*range(1, 18), 31, 32, 33])
def test_the_verifier_reads_proofs_as_the_services_make_them(size: int) -> None:
    """For every leaf of trees of all shapes; at another place none leads to the root."""
    leaves = [merkle.leaf_hash(bytes([each])) for each in range(size)]

    def read(level: int, index: int) -> bytes:
        return merkle.perfect(leaves[index << level : (index + 1) << level])

    for index in range(size):
        proof = merkle.inclusion_proof(index, size, read)
        assert verifier.root_from(index, size, leaves[index], proof) == merkle.root(size, read)
        for other in set(range(size)) - {index}:
            assert verifier.root_from(other, size, leaves[index], proof) != merkle.root(size, read)


def test_a_missing_envelope_is_an_alteration(evidence: Evidence) -> None:
    """Given a history from which somebody cut an envelope, the evidence made of it does not verify."""
    last = evidence.bus.history[-1]
    kept = tuple(each for each in last.headers if each[0].startswith("nrm_"))
    records = (*evidence.bus.history[:-1], Record(last.key, b"", kept))

    done = evidence.verified(bundle(CASE, evidence.source(records=records)))

    assert done.verdict[0] == 1
    assert {line.about: line.result for line in done.failures} == {"0-8": "envelope_missing"}


def test_what_is_later_than_the_checkpoint_is_left_out_and_counted(evidence: Evidence) -> None:
    """It can be proved after the next one."""
    frontier = merkle.Frontier()
    for number in range(1, 7):
        frontier.append(merkle.leaf_hash(evidence.log.registration(number)))
    older = evidence.note(f"{ORIGIN}\n6\n{base64.encode(frontier.root())}\n".encode())

    done = evidence.verified(bundle(CASE, evidence.source(checkpoints={0: older})))

    assert done.verdict[0] == 0
    assert "1 registrations later than the checkpoint" in next(line.says for line in done.lines if line.check == "gaps")


def test_a_head_that_nobody_signed_anchors_nothing(evidence: Evidence) -> None:
    """It shows that everything fits together; with keys, that nobody has signed."""
    raw = bundle(CASE, evidence.source(checkpoints={0: evidence.log.head.text}))

    assert head_of(evidence.log.head.text) == evidence.log.head
    assert evidence.verified(raw, Trust()).verdict[0] == 3
    assert evidence.verified(raw).failures[0].result == "checkpoint_unsigned"


def test_what_a_bundle_says_cannot_look_like_a_line(tmp_path: Path) -> None:
    """Text of the bundle is printed on its line, without line ends or commands to a terminal."""
    evidence = Evidence(tmp_path)
    evil = statement.sign(
        "directory", {"agency": "\nok    verified: all\x1b[2J", "bus": BUS, "number": 1}, evidence.bus.key
    )

    done = evidence.verified(evidence.resealed(lambda files: files.update({"directory.jsonl": evil + b"\n"})), Trust())

    assert done.verdict[0] == 1
    assert all(line.says.isprintable() and line.about.isprintable() for line in done.lines)


def test_a_few_flipped_bits_are_never_verified(evidence: Evidence) -> None:
    """Wherever they are in a file, somebody's signature or digest does not fit; and there is no traceback."""
    chance = Random(5)
    for _ in range(150):
        name = chance.choice(sorted(evidence.files))
        raw = bytearray(evidence.files[name])
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        altered = evidence.resealed(lambda files, name=name, raw=raw: files.update({name: bytes(raw)}))  # type: ignore[misc]
        signed = name.startswith(("registrations", "directory", "proofs", "envelopes", "checkpoints"))

        assert evidence.verified(altered).verdict[0] in ({1} if signed else {0, 1})


# -- far from here --------------------------------------------------------------------------------------------------


@pytest.fixture(name="stranger")
def _stranger(evidence: Evidence, tmp_path: Path) -> list[str]:
    """The machine of a stranger: Python, `cryptography`, the bundle, and the script that was in it."""
    (tmp_path / "bundle.zip").write_bytes(evidence.whole)
    (tmp_path / "verify.py").write_bytes(evidence.files["verify.py"])
    site = Path(cryptography.__file__).parents[1]
    (tmp_path / "only").mkdir()
    for each in (site / "cryptography", *site.glob("_cffi_backend*")):
        (tmp_path / "only" / each.name).symlink_to(each)
    run = (
        f"import sys, runpy; sys.path.append({str(tmp_path / 'only')!r}); sys.argv = sys.argv[1:]\n"
        "try:\n    import nrmbus\nexcept ImportError:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return [sys.executable, "-S", "-E", "-I", "-c", run, str(tmp_path / "verify.py"), str(tmp_path / "bundle.zip")]


def test_a_stranger_verifies_with_the_single_file(stranger: list[str]) -> None:
    """With nothing of this project at hand: 0 with keys, 3 without, 1 for a quorum that is not there, 2 for a slip."""
    for more, status, says in [
        ([*KEYS, *QUORUM], 0, "\nverified (a bus for playing"),
        ([], 3, "\nconsistent, not anchored (a bus for playing"),
        (KEYS, 1, "\nFAILED: quorum_missing\n"),
    ]:
        done = subprocess.run([*stranger, *more], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (status, "")
        assert says in done.stdout
    assert subprocess.run([*stranger, "--log", "me"], capture_output=True, check=False, timeout=60).returncode == 2


def test_json_has_the_same_lines(stranger: list[str]) -> None:
    """For a program that reads it."""
    done = subprocess.run([*stranger, *KEYS, "--json"], capture_output=True, text=True, check=False, timeout=60)
    body = json.loads(done.stdout)

    assert (body["status"], body["verdict"]) == (1, "FAILED: quorum_missing")
    assert [line["check"] for line in body["checks"] if line["result"] == "quorum_missing"] == ["witnesses"]


def test_the_script_imports_the_standard_library_and_cryptography_only() -> None:
    """So that a stranger can read all of it, and it is the one that is in each bundle."""
    source = Path(verifier.__file__).read_text(encoding="utf-8")
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
def test_keys_that_say_nothing_are_a_slip(
    evidence: Evidence, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, before the bundle is read."""
    with pytest.raises(SystemExit) as ended:
        verifier.main([str(evidence.home / "nowhere.zip"), *given])

    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_bundle_that_is_not_there_is_said(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    """With its code, and status 1."""
    assert verifier.main([str(evidence.home / "nowhere.zip"), "--witness", vkey(WITNESSES[0].verifier), *KEYS[:4]]) == 1
    assert "bundle_unreadable" in capsys.readouterr().out


def test_files_are_read_as_they_were_written(evidence: Evidence, tmp_path: Path) -> None:
    """And the key of a verifier is one of ours."""
    (tmp_path / "x.zip").write_bytes(evidence.whole)

    assert files_of(tmp_path / "x.zip") == evidence.files
    assert key(LOG.verifier).id.hex() in vkey(LOG.verifier)
