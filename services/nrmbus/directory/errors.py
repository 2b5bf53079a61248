"""Errors of the directory: a closed list of codes for entries, requests and heads, each with a sentence that says what to do."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

DirectoryCode = Literal[
    "operator_key_missing", "operator_key_malformed", "operator_signature_invalid", "entry_malformed", "other_bus", "number_skipped", "entry_replaced",
    "not_founded", "admitters_few", "admitter_unknown", "admitter_twice", "admitters_missing", "admission_invalid",
    "step_replayed", "step_skipped", "previous_differs", "agency_unknown", "agency_known", "agency_retired", "state_same",
    "id_reserved", "role_changed", "supervisor_itself", "supervisor_circle", "keys_changed", "possession_unproven", "previous_key_missing", "request_invalid",
    "weak_key", "key_in_use", "key_two_purposes", "key_replaced", "keys_pending", "lost_too_soon", "overlap_missing", "time_backwards", "challenge_missing",
    "challenge_unopened", "nothing_to_confirm", "head_invalid", "head_differs", "head_ahead", "head_key_changed", "went_back",
    "request_malformed", "request_large", "request_changed", "case_open", "supervises_others", "admitter_key_missing", "admitter_unnamed", "not_yet_two", "not_operator",
    "certificates_many", "certificate_invalid", "certificate_altered", "certificate_missing", "nothing_waiting",
    "invitation_malformed", "invitation_altered", "list_malformed", "request_other",
    "standby_malformed", "standby_other", "standby_old", "standby_known", "standby_unknown", "standby_unanswered", "standby_not_ours", "standby_keys",
]  # fmt: skip
"""Codes of the directory's refusals."""

SENTENCES: Final[Mapping[DirectoryCode, str]] = MappingProxyType(
    {
        "operator_key_missing": "keys/operator.pub is missing: run nrmbus invite on the operator's machine, then nrmbus join here.",
        "operator_key_malformed": "keys/operator.pub is not the key of this bus's operator: remove the file. The operator's machine makes it again; for any other, run nrmbus invite there, then nrmbus join here.",
        "operator_signature_invalid": "The operator of this bus did not sign this: stop and ask the operator.",
        "entry_malformed": "The entry does not have the form of this release: upgrade, or ask the operator what wrote the entry.",
        "other_bus": "The entry belongs to another bus: make a new one for this bus.",
        "number_skipped": "The entry has another number than the next one, so the topic was cut or altered: stop and ask the operator.",
        "entry_replaced": "Another entry had this number before, so the topic was altered: stop and ask the operator.",
        "not_founded": "The directory does not name its admitters yet: nrmbus admitter add.",
        "admitters_few": "A bus needs at least two admitters, each with a name and a key of their own: nrmbus admitter add.",
        "admitter_unknown": "No admitter of this bus has that name or key: nrmbus admitter list shows the admitters.",
        "admitter_twice": "One admitter signed twice: a second person must sign.",
        "admitters_missing": "Fewer than two admitters have signed: a second person signs the same file.",
        "admission_invalid": "An admitter's signature does not fit the file: sign the file as it was first sent.",
        "step_replayed": "The agency has a later entry already: make a new request.",
        "step_skipped": "An earlier entry of the agency is missing: make a new request.",
        "previous_differs": "The entry does not follow the newest one: it was entered already, or something else was entered in between; in that case make a new request.",
        "agency_unknown": "The agency was never admitted: nrmbus agency request makes the first request.",
        "agency_known": "The agency was admitted before: nrmbus agency rotate changes its keys.",
        "agency_retired": "The agency has left for good: admit it under another id.",
        "state_same": "The agency is already in this state.",
        "id_reserved": "This id cannot be used: an id has 2 to 31 small letters, digits and dashes, begins with a letter, and is not reserved for the bus; choose another id.",
        "role_changed": "The directory has another role for this agency: admit the new role under a new id.",
        "supervisor_itself": "An agency cannot supervise itself: name another agency with --supervisor, or none.",
        "supervisor_circle": "The supervisor is supervised by this agency, directly or through others, so nobody else would be notified: name another agency with --supervisor, or none.",
        "keys_changed": "This entry may change neither keys nor supervisor: nrmbus agency rotate changes keys.",
        "possession_unproven": "A new key did not sign the request: make the request with nrmbus agency request.",
        "previous_key_missing": "The agency's present key did not sign: if that key is gone, run nrmbus agency lost.",
        "request_invalid": "A signature of the agency does not fit the file, or the agency is suspended: send the file again as it was made, after nrmbus agency resume.",
        "weak_key": "A key is malformed, or would accept anybody's signatures or secrets: make a new pair with nrmbus agency request, or nrmbus admitter key.",
        "key_in_use": "The directory has this key already, for another agency or purpose: make a new pair.",
        "key_two_purposes": "One key is named for two purposes: make a pair for each purpose.",
        "key_replaced": "The directory has had this key before, and the key does not come back: request other keys, with nrmbus agency lost if keys are lost or stolen, else with nrmbus agency rotate.",
        "keys_pending": "The directory has the keys of the agency's earlier request already, and they become valid within four days: wait until then, and leave the agency suspended if somebody else may have a copy of those keys. Then run nrmbus agency lost again for others, with a new FILE if you use --directory.",
        "lost_too_soon": "Without the agency's old key, new keys become valid 72 hours after they are entered: have the request signed again.",
        "overlap_missing": "The old keys cannot end before the new ones begin: choose a later end of the overlap.",
        "time_backwards": "The entry would be valid earlier than the agency's entry before it: choose a later time.",
        "challenge_missing": "A new sealing key needs a challenge: nrmbus agency admit makes it.",
        "challenge_unopened": "The challenge to the sealing key was not opened: run nrmbus agency check at the agency.",
        "nothing_to_confirm": "No sealing key of the agency waits to be confirmed: nothing needs to be done.",
        "head_invalid": "The key for heads did not sign this head of the directory: stop and ask the operator.",
        "head_differs": "A head of the directory was signed over other entries than those here, so the directory was forked: stop and ask the operator.",
        "head_ahead": "A head of the directory covers entries that are not here, so the topic was cut: stop and ask the operator.",
        "head_key_changed": "The list of admitters names another key for heads, which such a list cannot change: have the change proposed again.",
        "went_back": "The topic ends before an entry that this machine has read, or has another entry in its place, so it was restored from an old state, cut or forked: stop and ask the operator.",
        "request_malformed": "The file is not a request of nrmbus agency, or was altered: have the agency send it again; a change of the admitters is signed with nrmbus admitter sign.",
        "request_large": "The request would be larger than 128 MiB, which nobody could read, so it was not written: list fewer cases in --cases.",
        "request_changed": "The request was changed after an admitter signed it: begin again with the agency's own file.",
        "case_open": "A case of the agency has neither a signed deletion nor a hand-over: list the case with --cases FILE.",
        "supervises_others": "Other agencies have this one as their supervisor, which cannot change: nrmbus agency list shows them. They leave first, with nrmbus agency retire, and join under other ids with another supervisor or none.",
        "admitter_key_missing": "The admitter's key is not on this machine: sign on the machine that has it in admitters/NAME/keys; nrmbus admitter list shows which keys are here.",
        "admitter_unnamed": "This machine has the keys of several admitters: choose one with --as NAME; nrmbus admitter list shows them.",
        "not_operator": "The operator's key is not on this machine: give the command on the operator's machine.",
        "certificates_many": "The agency has three valid certificates already: wait until one has expired, or run nrmbus agency lost if they are not the agency's own.",
        "certificate_invalid": "The certificate is not newer, not from this bus's authority, or not for the agency's own key: request another with nrmbus agency renew.",
        "certificate_altered": "The certificate in the file differs from the one that the operator of this bus issued: have the operator send the file again.",
        "certificate_missing": "This machine has no certificate yet, so the broker does not let it in: run nrmbus agency check AGENCY FILE with the file that the operator sent back, or nrmbus agency renew AGENCY once the keys hold that replace lost ones. An admitter signs on a machine that has an admitted agency or the operator's key, or with --directory FILE.",
        "invitation_malformed": "The file is not an invitation to a bus with the address of its broker (HOST:PORT): have the operator make another with nrmbus invite.",
        "invitation_altered": "The invitation does not have the fingerprint that the operator read out, or names another operator than this folder trusts: it was altered, or is for another bus; have the operator send it again.",
        "request_other": "The keys in the request are not those that the agency read out: the file was altered, or is another agency's; have the agency send it again.",
        "list_malformed": "The file is not a change of the admitters, or was altered: nrmbus admitter add or remove makes one; an agency's request is signed with nrmbus agency admit.",
        "nothing_waiting": "No request waits for an admitter: nrmbus agency waiting shows them; the operator's nrmbus up puts them there.",
        "standby_malformed": "The file is not a request of nrmbus standby, or was altered: make it again with nrmbus standby request on the standby host.",
        "standby_other": "The request does not have the fingerprint that you gave: it was altered, or is another host's; have the standby host's person read the fingerprint out again.",
        "standby_old": "The request was made more than seven days before or after this machine's time: set both clocks by a time server (timedatectl set-ntp true), and make the request again with nrmbus standby request.",
        "standby_known": "A host of this name is admitted already, and a request is answered once: choose another name, or take that host's certificates back first with nrmbus standby revoke HOST.",
        "standby_unknown": "No host of this name has a valid certificate, or the certificate was taken back: nrmbus standby list shows the hosts.",
        "standby_unanswered": "The operator has not answered this request yet: nrmbus standby admit FILE on the operator's machine.",
        "standby_not_ours": "The answer is not for the newest request of this machine, or was altered: take the file that belongs to it, or make another with nrmbus standby request.",
        "standby_keys": "The keys in the answer are not those that the directory names: have the operator admit a new request.",
        "not_yet_two": "Two admitters must sign before the operator can enter this: a second person signs the same file.",
    }
)  # fmt: skip
"""Sentence of each code: what is wrong and what to do."""


class DirectoryError(Exception):
    """Raised when an entry, a request or a head is not believed. Holds a code and a number of ours, never what was read."""

    def __init__(self, code: DirectoryCode, number: int | None = None) -> None:
        """Name the *code*, and the *number* of the entry that was due, where it is about one."""
        self.code: DirectoryCode = code
        self.sentence = SENTENCES[code]
        self.number = number
        where = "" if number is None else f"directory entry {number}: "
        super().__init__(f"{where}{code}: {self.sentence}")
