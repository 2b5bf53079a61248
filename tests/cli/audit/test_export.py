"""``nrmbus export`` and ``verify``: from the topics of a bus to a file that a stranger verifies."""

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.evidence.given import LASTING, LOG, ORIGIN, TIME, Evidence
from brokers import Broker
from cli.test_commands import nrmbus
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.web.offline_log import OffTheRecord
from nrmbus.bus.folder import BusFolder, write_json
from nrmbus.bus.kafka import clients
from nrmbus.directory import Identity, LogIdentity, Operator
from nrmbus.published import vectors
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log.checkpoint import Checkpoint, witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.mldsa import MLDSA44SigningKey
from nrmbus.wire.log.note import Note, vkey
from registrar.given import BUS, CASE

HERE = LogIdentity(SigningKey(vectors.seed("log")), MLDSA44SigningKey(vectors.seed("log lasting")))
"""The pairs of `LOG` and `LASTING`."""
OFF = "--off-the-record"
AGENCIES = ("ngo-a", "special-unit", "vac")


async def published(folder: BusFolder, evidence: Evidence) -> None:
    """Have directory and history in their topics."""
    async with clients.producer(folder.bootstrap) as producer:
        for entry in evidence.bus.directory.signed:
            await producer.send_and_wait("nrm.directory", entry, partition=0)
        for record in evidence.bus.history:
            headers = list(record.headers)
            await producer.send_and_wait("nrm.cases", record.value, record.key, partition=0, headers=headers)


@pytest.fixture(name="bus")
def _bus(broker: Broker) -> tuple[BusFolder, Evidence]:
    """A bus on which a case was handed over; no auditor has run yet."""
    folder = broker.fresh_bus()
    settings = json.loads((folder.path / "bus.json").read_bytes())
    write_json(folder.path / "bus.json", settings | {"bus": BUS})
    evidence = Evidence(folder.path)
    operator, directory = Operator(folder.path), evidence.bus.directory
    auditor = Identity.at(folder.service("auditor"), "auditor")
    entry = operator.entry(directory, auditor, "auditor", datetime(2026, 1, 1, tzinfo=UTC), log=HERE)
    assert entry is not None
    directory.add(entry)
    asyncio.run(published(folder, evidence))
    return folder, evidence


def witnesses(evidence: Evidence) -> list[Cosigner]:
    """Some of the desks that see the log."""
    return [Cosigner(witness_name(BUS, name), evidence.bus.identities[name].witness) for name in AGENCIES]


def covered(folder: BusFolder, evidence: Evidence) -> None:
    """Have the auditor's word on what is in the log, co-signed."""
    cosigned = Cosigned(folder.service("auditor") / "cosigned.db")
    text = evidence.log.head.text
    cosigned.publish(Checkpoint.parse(text), Note(text, (LOG.sign(text), LASTING.cosign(text, TIME))).bytes())
    for each in witnesses(evidence):
        cosigned.add(Note(text, (each.cosign(text, TIME),)).bytes(), [each.verifier])


@pytest.mark.broker
@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
def test_a_case_is_exported_and_verified(bus: tuple[BusFolder, Evidence], tmp_path: Path) -> None:
    """Before the first checkpoint it is not anchored, and export says so; after it, it is verified with the keys.

    No auditor runs here, so it is off the record, and said; without a word nothing is written.
    """
    folder, evidence = bus
    keys = [part for each in (LOG, LASTING) for part in ("--log", vkey(each.verifier))]
    keys += [part for each in witnesses(evidence) for part in ("--witness", vkey(each.verifier))]
    early, late = tmp_path / "early.zip", tmp_path / "late.zip"

    refused = nrmbus("export", "--case", CASE[:8], "--out", early, "--data", folder.path)
    assert (refused.returncode, refused.stdout, early.exists()) == (1, "", False)
    assert refused.stderr.startswith("nrmbus: The auditor does not answer, so this cannot be put on record: nrmbus up")

    done = nrmbus("export", "--case", CASE[:8], "--out", early, "--data", folder.path, OFF)
    assert done.returncode == 0
    assert re.fullmatch(r"OFF THE RECORD \(unreachable\): export, by [0-9]{6}, for audit\. .*\n", done.stderr)
    assert done.stdout == (
        f"{early}: 5 registrations of case {CASE}.\n"
        "No checkpoint covers this case yet, so the file is not anchored: export again after the auditor's next one, within the hour.\n"
    )
    assert nrmbus("verify", early).returncode == 3
    assert "checkpoint_unsigned" in nrmbus("verify", early, *keys).stdout

    covered(folder, evidence)
    done = nrmbus("export", "--case", CASE, "--out", late, "--data", folder.path, OFF)
    assert done.returncode == 0
    assert done.stderr.startswith("OFF THE RECORD")
    assert [each.what for each in OffTheRecord(folder.service("auditor")).left().readings] == ["export", "export"]
    assert re.findall(r"--(\w+) ", done.stdout) == ["log", "log", *["witness"] * 8, "operator"]
    assert set(keys) < set(done.stdout.split())
    verified = nrmbus("verify", late, *keys)
    assert verified.returncode == 0
    assert f"signed by {ORIGIN}+" in verified.stdout.splitlines()[-1]
    assert "3 of 3 witnesses, quorum 3" in verified.stdout.splitlines()[-1]
    assert nrmbus("verify", late).returncode == 3


@pytest.mark.broker
@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
def test_what_cannot_be_exported_is_one_sentence(bus: tuple[BusFolder, Evidence], tmp_path: Path) -> None:
    """An unknown case; a file that is there already stays as it is."""
    folder, _ = bus
    there = tmp_path / "there.zip"
    there.write_bytes(b"mine")

    unknown = nrmbus("export", "--case", "00000000", "--out", tmp_path / "x.zip", "--data", folder.path, OFF)
    again = nrmbus("export", "--case", CASE, "--out", there, "--data", folder.path)

    assert (unknown.returncode, again.returncode) == (1, 1)
    assert unknown.stderr.startswith("OFF THE RECORD (unreachable): search, ")  # that there is none is an answer too
    assert unknown.stderr.splitlines()[-1].startswith("nrmbus: Nothing here has this reference")
    assert again.stderr == f"nrmbus: {there} is there already: choose another file with --out FILE.\n"
    assert there.read_bytes() == b"mine"
    assert not (tmp_path / "x.zip").exists()


def test_a_slip_in_the_keys_is_told_before_anything_is_read(tmp_path: Path) -> None:
    """Exit status 2; a file that is not there is 1."""
    assert nrmbus("verify", tmp_path / "x.zip", "--log", "me").returncode == 2
    assert nrmbus("verify", tmp_path / "x.zip").returncode == 1
