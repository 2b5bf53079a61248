"""Names that the auditor's process and the command line share.

This module imports nothing of the history, so that a command which only asks the auditor begins quickly.
"""

from typing import Final, Literal, get_args

Purpose = Literal["audit", "complaint", "court", "person_request", "incident"]
"""Purposes of the published list, `AccessPurpose`, for which an auditor reads."""
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)

OFF_THE_RECORD: Final = "off-the-record.jsonl"
"""File of readings off the record, in the auditor's folder."""
