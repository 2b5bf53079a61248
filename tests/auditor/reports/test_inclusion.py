"""Witnesses of a checkpoint, as the auditor's page and the check of a registration name them."""

from datetime import UTC, datetime

from agencies import BUS, cosignature, town
from nrmbus.auditor.reports.inclusion import cosigned_by
from nrmbus.wire.log.checkpoint import Checkpoint, origin_of
from nrmbus.wire.log.note import Note

TIME = 1_772_427_600


def test_a_co_signature_without_a_time_names_no_witness() -> None:
    """Given one witness that says when and one that does not, then only the first one vouches for the checkpoint."""
    text = Checkpoint(origin_of(BUS, 0), 3, bytes(32)).text
    note = Note(text, (cosignature("ngo-a", text, TIME), cosignature("special-unit", text, 0))).bytes()

    assert cosigned_by(note, town().directory) == {"ngo-a": datetime.fromtimestamp(TIME, UTC)}
