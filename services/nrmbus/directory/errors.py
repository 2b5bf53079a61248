"""Why an entry, a request or a head is not believed: one closed list of codes, each with a sentence that says what to do."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

DirectoryCode = Literal[
    "operator_key_missing", "operator_key_malformed", "operator_signature_invalid", "entry_malformed", "other_bus", "number_skipped", "entry_replaced",
    "not_founded", "admitters_few", "admitter_unknown", "admitter_twice", "admitters_missing", "admission_invalid",
    "step_replayed", "step_skipped", "previous_differs", "agency_unknown", "agency_known", "agency_retired", "state_same",
    "id_reserved", "role_changed", "supervisor_itself", "supervisor_circle", "keys_changed", "possession_unproven", "previous_key_missing", "request_invalid",
    "weak_key", "key_in_use", "key_two_purposes", "key_replaced", "lost_too_soon", "overlap_missing", "time_backwards", "challenge_missing",
    "challenge_unopened", "nothing_to_confirm", "head_invalid", "head_differs", "head_ahead", "head_key_changed", "went_back",
    "request_malformed", "request_changed", "case_open", "admitter_key_missing", "admitter_unnamed", "not_yet_two", "not_operator",
    "certificates_many", "certificate_invalid", "certificate_altered", "certificate_missing", "nothing_waiting",
    "invitation_malformed", "invitation_altered", "list_malformed", "request_other",
]  # fmt: skip
"""Everything for which the directory says no."""

SENTENCES: Final[Mapping[DirectoryCode, str]] = MappingProxyType(
    {
        "operator_key_missing": "keys/operator.pub is missing: nrmbus invite at the operator's machine, nrmbus join here.",
        "operator_key_malformed": "keys/operator.pub is no key: remove it, then nrmbus invite at the operator's machine, nrmbus join here.",
        "operator_signature_invalid": "It is not one that the operator of this bus signed: stop and ask the operator.",
        "entry_malformed": "It has not the form of this release: upgrade, or ask the operator what wrote it.",
        "other_bus": "It belongs to another bus: make it anew for this one.",
        "number_skipped": "Another number is due: the topic was cut or altered; stop and ask the operator.",
        "entry_replaced": "Another entry had this number before: the topic was altered; stop and ask the operator.",
        "not_founded": "The directory does not yet name its admitters: nrmbus admitter add.",
        "admitters_few": "At least two admitters are wanted, each with a name and a key of their own.",
        "admitter_unknown": "Nobody admits on this bus by that name or key: nrmbus admitter list shows who does.",
        "admitter_twice": "One admitter signed twice: a second person has to sign.",
        "admitters_missing": "Fewer than two admitters have signed: a second person signs the same file.",
        "admission_invalid": "An admitter's signature does not fit what is written: sign the file as it was first sent.",
        "step_replayed": "The agency has a later entry already: make the request anew.",
        "step_skipped": "An entry of the agency before this one is missing: make the request anew.",
        "previous_differs": "It does not follow what was entered last: it was entered already, or something else was meanwhile, and it is made anew.",
        "agency_unknown": "The agency was never admitted: nrmbus agency request makes the first request.",
        "agency_known": "The agency was admitted before: nrmbus agency rotate changes its keys.",
        "agency_retired": "The agency is retired for good: admit it under another id.",
        "state_same": "It is so already: nothing is to be done.",
        "id_reserved": "This cannot be an id: one has 2 to 31 small letters, digits and dashes, a letter first, and is no name of the bus's own; choose another.",
        "role_changed": "The agency stands in the directory with another role: admit the new role under a new id.",
        "supervisor_itself": "An agency is not its own supervisor: name another with --supervisor, or none.",
        "supervisor_circle": "Its supervisor is supervised by it, itself or over others, so nobody else would be told: name another with --supervisor, or none.",
        "keys_changed": "Only a change of keys may change keys or supervisor: nrmbus agency rotate.",
        "possession_unproven": "A new key did not sign the request: make it with nrmbus agency request.",
        "previous_key_missing": "The agency's present key did not sign: if it is gone, nrmbus agency lost.",
        "request_invalid": "A signature of the agency does not fit what is written: send the file again as it was made.",
        "weak_key": "A key is none, or would accept signatures or secrets of anybody: make a new pair with nrmbus agency request, or nrmbus admitter key.",
        "key_in_use": "A key stands in the directory already, for another agency or purpose: make a new pair.",
        "key_two_purposes": "One key is named for two purposes: each has a pair of its own; make new ones.",
        "key_replaced": "Another sealing key took this one's place, and none comes back: make a new pair with nrmbus agency rotate.",
        "lost_too_soon": "Without the agency's old key, new keys hold 72 hours after they stand in the directory: have the request signed anew.",
        "overlap_missing": "The old keys cannot end before the new ones begin: name a later end of the overlap.",
        "time_backwards": "It would hold earlier than the agency's entry before it: name a later time.",
        "challenge_missing": "A new sealing key needs a challenge: nrmbus agency admit makes it.",
        "challenge_unopened": "The challenge to the sealing key was not opened: the agency runs nrmbus agency check.",
        "nothing_to_confirm": "The agency has no sealing key that waits to be confirmed: nothing is to be done.",
        "head_invalid": "A head of the directory is not signed by the key for heads: stop and ask the operator.",
        "head_differs": "A head of the directory was signed over other entries than are here: it was forked; stop and ask the operator.",
        "head_ahead": "A head of the directory speaks of entries that are not here: the topic was cut; stop and ask the operator.",
        "head_key_changed": "It names another key for heads, which nobody is to change with the list of admitters: have it proposed anew.",
        "went_back": "It ends before an entry that was here, or had another there: the topic was restored from an old state, cut or forked; stop and ask the operator.",
        "request_malformed": "The file is no request of nrmbus agency, or was altered: have the agency send it again; a change of who admits is signed by nrmbus admitter sign.",
        "request_changed": "The request was changed after an admitter signed it: begin again with the agency's own file.",
        "case_open": "A case of the agency has neither a signed deletion nor a hand-over: list it with --cases FILE.",
        "admitter_key_missing": "The key of that admitter, or of any, does not lie here: sign on the machine where admitters/NAME/keys has it; nrmbus admitter list shows which do.",
        "admitter_unnamed": "The keys of several admitters lie here: say whose signs with --as NAME; nrmbus admitter list shows them.",
        "not_operator": "The operator's key does not lie here: run it on the operator's machine.",
        "certificates_many": "The agency has three good certificates already: wait until one has ended, or, if they are not its own, nrmbus agency lost.",
        "certificate_invalid": "It is no certificate of this bus's authority for this agency's own key, or no newer one: nrmbus agency renew asks again.",
        "certificate_altered": "The certificate in the file is not as the operator of this bus gave it: have the operator send the file again.",
        "certificate_missing": "The broker lets nobody in from here yet: an agency's file comes back from the operator, then nrmbus agency check AGENCY FILE; an admitter signs where there is such an agency, or the operator, or by a file with --directory FILE.",
        "invitation_malformed": "It is no invitation to a bus, whose broker has an address like HOST:PORT: have the operator make it again with nrmbus invite.",
        "invitation_altered": "It has not the fingerprint that the operator read out, or names another operator than this folder trusts: it was altered, or is of another bus; have it sent again.",
        "request_other": "Its keys are not the ones that the agency read out: it was altered, or is another's; have the agency send it again.",
        "list_malformed": "The file is no change of who admits, or was altered: nrmbus admitter add or remove makes one; what an agency asks for is signed by nrmbus agency admit.",
        "nothing_waiting": "Nothing waits for an admitter: nrmbus agency waiting shows what does; the operator's nrmbus up puts it there.",
        "not_yet_two": "Two admitters have to sign before the operator can enter it: a second person signs the same file.",
    }
)  # fmt: skip
"""One sentence a code: what is wrong and what to do."""


class DirectoryError(Exception):
    """Raised when an entry, a request or a head is not believed. Holds a code and a number of ours, never what was read."""

    def __init__(self, code: DirectoryCode, number: int | None = None) -> None:
        """Name the *code*, and the *number* of the entry that was due, where it is about one."""
        self.code: DirectoryCode = code
        self.sentence = SENTENCES[code]
        self.number = number
        where = "" if number is None else f"directory entry {number}: "
        super().__init__(f"{where}{code}: {self.sentence}")
