"""Errors in bytes of the wire: a closed list of codes; a message never repeats content."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

WireCode = Literal[
    "unreadable", "header_not_allowed", "json_invalid", "json_duplicate", "signature_profile", "signature_invalid",
    "weak_key", "source_not_owner", "agency_suspended", "id_reused", "sequence_gap", "stale", "key_mismatch",
    "wrong_partition", "unknown_field", "unknown_type", "unknown_version", "too_large", "letter_too_large",
    "letter_malformed", "letter_missing", "letter_digest_mismatch", "key_not_current", "suite_unknown",
    "unknown_recipient", "time_in_future", "version_passed",
]  # fmt: skip
"""Codes of the checks that come before the Rules (``wire/README.md``, "What an error means")."""

ClosedReason = Literal["digest", "key", "malformed", "missing"]
"""Reason why a letter stayed closed: `Unreadable` of ``letter.unreadable``, whose module would bring pydantic to each process."""

SENTENCES: Final[Mapping[WireCode, str]] = MappingProxyType(
    {
        "unreadable": "The record is not an event of this bus: send it as a CloudEvent in Kafka binary mode, with every header.",
        "header_not_allowed": "A header is unknown, repeated, empty, too long, malformed or not printable ASCII: send only the headers of the binding, each once.",
        "json_invalid": "The JSON cannot be read: send one well-formed object in UTF-8, without null, fractions, large numbers or lone surrogates, at most 16 levels deep.",
        "json_duplicate": "A JSON object has a member twice: send the member once.",
        "signature_profile": "The signature is missing, or does not cover the required attributes in the required order: sign all of them.",
        "signature_invalid": "The signature does not fit the event: sign the bytes that you send, with your current key.",
        "weak_key": "The key would accept anybody's signatures or secrets: make a new pair.",
        "source_not_owner": "An agency publishes to its own outbox only: send through the desk of the agency named as source.",
        "agency_suspended": "The agency is suspended: ask the operator of the bus.",
        "id_reused": "This id belongs to another event: use a new id.",
        "sequence_gap": "An earlier event of this case is missing: send the events again in order.",
        "stale": "The event was recorded more than seven days ago: record it again.",
        "key_mismatch": "The record's key is not the event's subject: use the subject as key.",
        "wrong_partition": "The record is on another partition than its key requires: set the partitioner to murmur2.",
        "unknown_field": "The data do not fit this type and version: a field is unknown, missing, or has a value that is not allowed.",
        "unknown_type": "This type of event is not published on this bus: see the schemas.",
        "unknown_version": "This bus does not accept this version of the type: publish it in one of the versions in `accepts`.",
        "too_large": "The record, its data or a header is too large for the bus: send less, or split it into several events.",
        "letter_too_large": "The letter is too large for the bus: send less, or split it into several events.",
        "letter_malformed": "The letter is malformed: seal it again.",
        "letter_missing": "The event names a letter that did not arrive with it: send both.",
        "letter_digest_mismatch": "The letter is not the one that was signed: send the letter whose digest the event names.",
        "key_not_current": "The key is not the agency's current one, or a recipient has no valid key, so nobody was told: read the directory and try again; an agency whose key expired runs nrmbus agency rotate.",
        "suite_unknown": "The letter is sealed with a suite that this bus does not know: seal it with nrm1.",
        "unknown_recipient": "A named agency is not in the directory: correct its id; nrmbus agency list shows all agencies.",
        "time_in_future": "The event's time is more than five minutes ahead: set the clock.",
        "version_passed": "The case has changed since the sender read it: read the case again.",
    }
)
"""Sentence for each code: what happened, then what to do."""

_OF_DESKS: Final[Mapping[str, str]] = {
    "audience_changed": "The audience changed after the letter was sealed: the desk seals the event again automatically, under a new id.",
    "audience_not_allowed": "The registrar named an agency that may open this letter in no possible history, so the desk sent nothing: ask the bus's operator.",
    "profile_missing": "This case is under a profile of the Rules that the desk does not have, so the desk sent nothing: have the profile added (nrmbus rules add FILE) or, if a newer release has it, the desk upgraded; then publish the event again.",
}

_NO_SENTENCE: Final = "This release has no sentence for this code: look it up in a newer one."


def sentence_of(code: str) -> str:
    """Return what happened and what to do, for *code* of a refusal that no rule of a profile gave."""
    known: Mapping[str, str] = {str(each): sentence for each, sentence in SENTENCES.items()} | dict(_OF_DESKS)
    return known.get(code, _NO_SENTENCE)


class WireError(Exception):
    """Error for bytes that do not have the form of the wire.

    ``code`` is of the closed list `WireCode`; ``sentence`` says what happened and what to do. ``safe`` holds facts of
    ours that help (a limit, the name of a header that we know), never a piece of the input, so this may be logged.
    """

    def __init__(self, code: WireCode, sentence: str | None = None, **safe: "str | int | tuple[int, ...]") -> None:
        """Name the *code*; the *sentence* is the code's own unless one is given."""
        self.code: WireCode = code
        self.sentence = SENTENCES[code] if sentence is None else sentence
        self.safe: Mapping[str, str | int | tuple[int, ...]] = safe
        super().__init__(f"{code}: {self.sentence}")


_CLOSED: Final[Mapping[ClosedReason, WireCode]] = {
    "digest": "letter_digest_mismatch",
    "key": "key_not_current",
    "malformed": "letter_malformed",
    "missing": "letter_missing",
}


class LetterClosed(WireError):
    """Letter, or part of one, that its recipient cannot open; ``letter.unreadable`` reports the ``reason``."""

    def __init__(self, reason: ClosedReason) -> None:
        """Name the *reason*; the code follows from it."""
        self.reason: ClosedReason = reason
        super().__init__(_CLOSED[reason])


ProofCode = Literal[
    "index_outside_tree", "inclusion_invalid", "tree_shrank", "root_differs", "consistency_invalid", "note_malformed",
    "note_too_large", "key_malformed", "signature_invalid", "note_unsigned", "checkpoint_malformed", "origin_differs",
    "log_signature_missing", "quorum_missing", "policy_invalid", "body_malformed",
]  # fmt: skip
"""Reason why a proof, a note or a checkpoint is rejected."""

PROOF_SENTENCES: Final[Mapping[ProofCode, str]] = MappingProxyType(
    {
        "index_outside_tree": "The tree of this size has no such leaf.",
        "inclusion_invalid": "The proof does not lead from this leaf, at this place, to the root of the tree.",
        "tree_shrank": "The newer tree is smaller than the older one: its tail was cut.",
        "root_differs": "Two roots are given for one size: the history was forked.",
        "consistency_invalid": "The proof does not show that the newer tree begins with the older one.",
        "note_malformed": "The note does not have the form of C2SP signed-note v1.0.0.",
        "note_too_large": "The note is larger, or has more signatures, than this program reads.",
        "key_malformed": "The verifier key does not have the form of C2SP signed-note v1.0.0, is weak, or is of an unknown kind.",
        "signature_invalid": "A signature in the name of a known key does not fit the note.",
        "note_unsigned": "No key that is known here has signed the note.",
        "checkpoint_malformed": "The note's text is not a checkpoint: origin, size and root, and nothing else.",
        "origin_differs": "The checkpoint is of another log: another bus, another partition, or a bus for playing.",
        "log_signature_missing": "A key of the log has not signed the checkpoint.",
        "quorum_missing": "Fewer witnesses have co-signed the checkpoint than the policy asks for.",
        "policy_invalid": "The policy names a key twice, a key of the wrong kind, no log, or a quorum that cannot be met.",
        "body_malformed": "The record does not have the form of an add-checkpoint request of C2SP tlog-witness v1.0.0.",
    }
)
"""Sentence for each code."""


class ProofError(Exception):
    """Error for a proof, a note or a checkpoint that is rejected.

    ``code`` is of the closed list `ProofCode`; ``safe`` holds numbers of ours (how many signed, how many are asked
    for), never a piece of the input, so this may be logged.
    """

    def __init__(self, code: ProofCode, **safe: int) -> None:
        """Name the *code*."""
        self.code: ProofCode = code
        self.sentence = PROOF_SENTENCES[code]
        self.safe: Mapping[str, int] = safe
        super().__init__(f"{code}: {self.sentence}")
