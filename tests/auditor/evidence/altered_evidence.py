"""Evidence that somebody altered who knows how to write the trailer again, and the verifier's codes, in their order."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace

from agencies import BUS, CASE
from auditor.alteration import Place, Row
from auditor.evidence.forger import (  # fmt: skip
    FIRST,
    FORGER,
    FOURTH,
    LAST,
    REFUSED,
    SECOND,
    Change,
    again,
    as_a_delivery,
    attribute,
    both,
    counted,
    directory,
    drop,
    entry,
    envelope,
    exchanged,
    extended,
    header,
    lookalike,
    note,
    odd,
    older,
    one_level_up,
    operator,
    other_case,
    part,
    proof,
    registrar,
    replaced,
    resigned,
    respelled,
    row,
    rows,
    signature,
    signed,
    text,
    untimed,
    without,
)
from auditor.evidence.given import LOG, OTHER_CASE, STRANGER, TIME, WITNESSES, Evidence, key, trust
from auditor.evidence.odd_files import TRICKS
from nrmbus.auditor.evidence.file import evidence_of
from nrmbus.auditor.evidence.verifier import Trust, Verification
from nrmbus.published import vectors
from nrmbus.wire import dsse, statement
from nrmbus.wire import json as canonical
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log.checkpoint import origin_of
from nrmbus.wire.log.note import Ed25519Signer, Signature
from nrmbus.wire.record import REGISTRATION
from nrmbus.wire.registration import Registration, sign_registration

ALTERED: list[tuple[str, Change, str]] = [
    # registrations
    ("a registration edited", row(LAST, None, source="vac"), "registrar_signature_invalid inclusion_invalid other_event sequence_gap"),
    ("a registration forged", row(LAST, lambda _: FORGER, policy={}), "registrar_key_unknown inclusion_invalid"),
    ("a registration altered by the registrar", row(LAST, registrar, policy={}), "inclusion_invalid"),
    ("a refusal made a registration", row(REFUSED, registrar, verdict="registered"), "inclusion_invalid envelope_missing chain_broken"),
    ("a registration of no verdict", row(LAST, registrar, verdict="withdrawn"), "registration_malformed count_differs"),
    ("a registration of no number", row(LAST, registrar, number=0), "registration_malformed count_differs"),
    ("two signatures exchanged", exchanged("signature", FIRST, SECOND), "registrar_signature_invalid"),
    ("a signature too long", signature(FIRST, lambda read: read.update(sig="AAAA" + read["sig"])), "registrar_signature_invalid"),
    ("a purpose of another statement", as_a_delivery, "registrar_signature_invalid"),
    ("the leaf of another transaction", signature(FIRST, lambda read: read.update(path=[*read["path"][:-1], b64encode(bytes(32)).decode()])), "registrar_signature_invalid"),
    ("the path to another place", signature(FIRST, lambda read: read.update(place=read["place"] ^ 1)), "registrar_signature_invalid"),
    ("a place outside the transaction", signature(FIRST, lambda read: read.update(place=16)), "registration_malformed"),
    ("a place before the transaction", signature(FIRST, lambda read: read.update(place=-1)), "registration_malformed"),
    ("an empty transaction", signature(FIRST, lambda read: read.update(place=0, size=0, path=[])), "registration_malformed"),
    ("a transaction of one", signature(FIRST, lambda read: read.update(place=0, size=1, path=[])), "registrar_signature_invalid"),
    ("a larger transaction", signature(FIRST, lambda read: read.update(size=2**32)), "registration_malformed"),
    ("an inner node of the transaction", signature(FIRST, one_level_up), "registrar_signature_invalid"),
    ("a path cut", signature(FIRST, lambda read: read["path"].pop()), "registration_malformed"),
    ("a path too long", signature(FIRST, lambda read: read["path"].append(read["path"][0])), "registration_malformed"),
    ("half a hash in a path", signature(FIRST, lambda read: read["path"].append("AAAA")), "registration_malformed"),
    ("another salt", signature(FIRST, lambda read: read.update(salt=b64encode(bytes(16)).decode())), "registrar_signature_invalid"),
    ("a salt of another length", signature(FIRST, lambda read: read.update(salt="")), "registration_malformed"),
    ("the tail cut", rows(lambda found: found.pop()), "count_differs"),
    ("the head cut, and every trace of it", without(FIRST), "sequence_gap"),
    ("one taken out, and every trace of it", without(SECOND), "sequence_gap"),
    ("everything taken out", without(FIRST, SECOND, REFUSED, FOURTH, LAST), "count_differs"),
    ("two in another order", rows(lambda found: found.insert(0, found.pop(LAST))), "order_differs"),
    ("two under each other's number", both(row(FIRST, None, number=3), row(SECOND, None, number=2)), "registrar_signature_invalid inclusion_invalid order_differs sequence_gap"),
    ("two under each other's number, by the registrar", both(row(FIRST, registrar, number=3), row(SECOND, registrar, number=2)), "inclusion_invalid order_differs sequence_gap"),
    ("one twice", rows(lambda found: found.insert(1, found[FIRST])), "registration_duplicate count_differs"),
    ("one twice, counted", both(rows(lambda found: found.insert(1, found[FIRST])), counted), "registration_duplicate count_differs"),
    ("a broken chain", row(SECOND, registrar, previous="f" * 64), "chain_broken inclusion_invalid"),
    ("the registration of another case", other_case, "case_differs count_differs"),
    ("the registration of another bus", row(LAST, registrar, bus="0123456789abcdef"), "bus_differs count_differs"),
    ("the registration of another partition", row(LAST, registrar, partition=1), "checkpoint_missing"),
    ("a member too many", part(LAST, lambda read: read.update(note="urgent")), "registration_malformed count_differs"),
    ("a leaf with more to say", row(LAST, registrar, note="urgent"), "registration_malformed count_differs"),
    ("a signature with more to say", signature(LAST, lambda read: read.update(alg="none")), "registration_malformed"),
    ("two signatures", signature(LAST, lambda read: read.update(sig=[read["sig"]] * 2)), "registration_malformed"),
    # proofs
    ("a proof altered", proof(FIRST, lambda found: found.reverse()), "inclusion_invalid"),
    ("a proof cut", proof(FIRST, lambda found: found.pop()), "inclusion_invalid"),
    ("a proof too long", proof(FIRST, lambda found: found.append(found[0])), "inclusion_invalid"),
    ("two proofs exchanged", exchanged("proof", FIRST, SECOND), "inclusion_invalid"),
    ("a proof of nothing", proof(FIRST, lambda found: found.clear()), "inclusion_invalid"),
    ("a proof spelled in another way", proof(FIRST, respelled), "proof_malformed"),
    ("half a hash in a proof", proof(FIRST, lambda found: found.append("AAAA")), "proof_malformed"),
    ("a number in a proof", proof(FIRST, lambda found: found.append(7)), "proof_malformed"),
    ("a proof taken out", part(FIRST, lambda read: read.pop("proof")), "registration_malformed count_differs sequence_gap"),
    # checkpoints
    ("a wrong tree size", note(lambda e: e.note().replace(b"\n8\n", b"\n9\n", 1)), "log_signature_invalid inclusion_invalid"),
    ("a smaller tree size", note(lambda e: e.note().replace(b"\n8\n", b"\n7\n", 1)), "log_signature_invalid index_outside_tree"),
    ("a wrong tree size, signed by the log", note(lambda e: signed(text(e, size=9))), "inclusion_invalid"),
    ("another root", note(lambda e: signed(text(e, root=bytes(32)))), "inclusion_invalid"),
    ("another partition", note(lambda e: signed(text(e, origin=origin_of(BUS, 1)))), "origin_differs"),
    ("the bus that is no play", note(lambda e: signed(text(e, origin=origin_of(BUS[5:], 0)))), "origin_differs"),
    ("another play", note(lambda e: signed(text(e, origin=origin_of("play-" + "f" * 16, 0)))), "origin_differs"),
    ("a stale checkpoint", note(older), "inclusion_invalid index_outside_tree"),
    ("an extension line", note(extended), "checkpoint_malformed"),
    ("a root too long", note(lambda e: odd(e.log.head.text[:-45] + b"A" * 44 + b"\n")), "checkpoint_malformed"),
    ("more signatures than anybody reads", note(lambda e: e.note() + b"".join(Signature(f"x{n}", bytes(4), bytes(6000)).line() for n in range(50))), "checkpoint_malformed"),
    ("no signature", note(lambda e: e.log.head.text), "checkpoint_unsigned"),
    ("another key of the log", note(replaced), "log_signature_missing"),
    ("the name and key id of the log", note(lookalike), "log_signature_invalid"),
    ("the lasting signature taken out", note(lambda e: signed(text(e), LOG.sign(text(e)), *(each.cosign(text(e), TIME) for each in WITNESSES), log=False)), "log_signature_missing"),
    ("a witness taken out", note(lambda e: e.note(witnesses=1)), "quorum_missing"),
    ("a stranger for a witness", note(lambda e: signed(text(e), WITNESSES[0].cosign(text(e), TIME), STRANGER.cosign(text(e), TIME))), "quorum_missing"),
    ("one witness twice", note(lambda e: signed(text(e), WITNESSES[0].cosign(text(e), TIME), WITNESSES[0].cosign(text(e), TIME + 1))), "quorum_missing"),
    ("a witness who says no time", note(untimed), "quorum_missing"),
    ("what a witness signed of another tree", note(lambda e: signed(text(e), WITNESSES[0].cosign(text(e), TIME), WITNESSES[1].cosign(text(e, size=9), TIME))), "cosignature_invalid"),
    ("the checkpoint taken out", both(drop("checkpoint"), counted), "checkpoint_missing"),
    ("two checkpoints of one partition", both(again("checkpoint"), counted), "checkpoint_unexpected"),
    ("a checkpoint of a partition of which nothing is here", both(again("checkpoint", partition=1), counted), "checkpoint_unexpected"),
    # envelopes and audiences
    ("data altered", envelope(FIRST, lambda read: read.update(value=read["value"].replace("emergency", "ordinary"))), "envelope_altered"),
    ("an attribute altered", envelope(FIRST, attribute("ce_actor", "S-2")), "envelope_altered"),
    ("an attribute taken out", envelope(FIRST, attribute("ce_policy", "")), "envelope_altered"),
    ("an attribute that nobody signed", envelope(FIRST, attribute("ce_note", "urgent")), "envelope_altered"),
    ("an attribute that steers a terminal", envelope(FIRST, attribute("ce_actor", "\x1b[2J")), "envelope_malformed"),
    ("an attribute that is a number", envelope(FIRST, lambda read: read["headers"].update(ce_actor=2)), "envelope_malformed"),
    ("the sender's signature taken out", envelope(FIRST, attribute("ce_dssematerial", "")), "envelope_malformed"),
    ("two envelopes exchanged", exchanged("envelope", FIRST, SECOND), "envelope_differs"),
    ("an envelope signed by another", envelope(LAST, resigned), "envelope_differs"),
    ("an envelope taken out", part(FIRST, lambda read: read.pop("envelope")), "envelope_missing"),
    ("an envelope of a refusal", rows(lambda found: found[REFUSED].update(envelope=found[FIRST]["envelope"])), "envelope_unexpected"),
    ("an envelope with a letter", envelope(FIRST, lambda read: read.update(letter="")), "envelope_malformed"),
    ("an audience altered", part(FIRST, lambda read: read["audience"].update(recipients=["fund"])), "audience_differs"),
    ("an audience taken out", part(FIRST, lambda read: read.pop("audience")), "audience_missing"),
    # the directory
    ("an entry edited", entry(lambda _: FORGER, role="police"), "operator_signature_invalid registrar_key_unknown"),
    ("an entry under another key's name", directory(lambda found: found[-1]["entry"]["signatures"][0].update(keyid=FORGER.kid)), "operator_signature_invalid registrar_key_unknown"),
    ("an entry taken out", directory(lambda found: found.pop(0)), "directory_gap registrar_key_unknown sender_key_unknown count_differs"),
    ("the sender's entries taken out", both(drop("directory"), counted), "registrar_key_unknown sender_key_unknown"),
    ("an entry of another bus", entry(operator, bus="0123456789abcdef"), "bus_differs registrar_key_unknown"),
    ("an entry with a weak key", entry(operator, signing=b64encode(bytes(32)).decode()), "key_weak registrar_key_unknown"),
    ("an entry without a key", entry(operator, signing="?"), "directory_malformed registrar_key_unknown"),
    # the rest
    ("fewer later registrations than none", header(later=-1), "header_malformed"),
    ("another case in the header", header(case=OTHER_CASE), "case_differs count_differs"),
    ("a play that says it was none", header(bus=BUS[5:]), "bus_differs count_differs"),
    ("another version", header(format="nrmbus-evidence/1"), "header_malformed"),
    ("a header with more to say", header(verified=True), "header_malformed"),
    ("a schema that nobody counts", again("schema", name="nrm.case.linked/v1"), "count_differs"),
    ("the schemas taken out", drop("schema"), "count_differs"),
    ("two headers", again("header"), "line_misplaced"),
    ("no readme", drop("readme"), "line_misplaced"),
    ("no verifier", drop("verifier"), "line_misplaced"),
    ("a checkpoint behind the registrations", lambda lines, _: lines.append(lines.pop(next(at for at, each in enumerate(lines) if each["kind"] == "checkpoint"))), "line_misplaced"),
    ("the header at the end", lambda lines, _: lines.append(lines.pop(0)), "line_misplaced"),
    ("a line of another kind", again("schema", kind="attachment"), "line_malformed"),
    ("a readme with more to say", lambda lines, _: lines[1].update(html="<script>"), "line_malformed"),
    ("a directory entry as text", directory(lambda found: found[0].update(entry="")), "line_malformed"),
]  # fmt: skip


def verified(change: Change) -> Callable[[Place], str]:
    """Return the verifier's codes after *change*; without keys it never says that altered evidence is verified."""

    def codes(place: Place) -> str:
        raw = place.evidence.resealed(lambda lines: change(lines, place.evidence))
        assert raw != place.evidence.whole
        assert place.evidence.verified(raw, Trust()).verdict[0] in {1, 3}
        return failures(place.evidence.verified(raw))

    return codes


def failures(found: Verification) -> str:
    """Return its codes, in order; with one, the exit status is 1."""
    assert (found.verdict[0] == 1) == bool(found.failures)
    return " ".join(dict.fromkeys(line.result for line in found.failures))


def looked_at(trick: Callable[[bytes], bytes]) -> Callable[[Place], str]:
    """Return the code of a deceptive file: one line, before anything in the file is believed."""

    def codes(place: Place) -> str:
        raw = trick(place.evidence.whole)
        assert raw != place.evidence.whole
        found = place.evidence.verified(raw)
        assert [line.check for line in found.lines] == ["evidence"]
        return failures(found)

    return codes


def too_long(place: Place) -> str:
    """Return the code of a file with a hole of a quarter of a gigabyte."""
    path = place.fresh() / "long.jsonl"
    with path.open("wb") as file:
        file.write(place.evidence.whole)
        file.truncate((256 << 20) + 1)
    return failures(Verification(path, Trust()))


def a_folder(place: Place) -> str:
    """Return the code of a folder."""
    return failures(Verification(place.fresh(), Trust()))


def lying(lie: str) -> Callable[[Place], str]:
    """Registrar and log lie together; they cannot make the sender's signature."""

    def codes(place: Place) -> str:
        evidence = Evidence(place.fresh())
        record = evidence.bus.history[-1]
        headers = dict(record.headers)
        leaf = json.loads(statement.body_of("registration", headers[REGISTRATION]))
        if lie == "id":
            leaf["id"] = vectors.EVENT_ID
        else:
            body = json.loads(b64decode(headers["ce_dssematerial"]))
            if lie == "sender":
                body["signatures"][0]["sig"] = b64encode(bytes(64)).decode()
                material = canonical.dumps(body)
            else:
                material = dsse.wrap(body["payloadType"], b64decode(body["payload"]), FORGER)
                leaf["key"] = FORGER.kid
            headers["ce_dssematerial"] = b64encode(material)
            leaf["envelope"] = canonical.digest(material)
        headers[REGISTRATION] = sign_registration(Registration.parse(canonical.dumps(leaf)), evidence.bus.key)
        evidence.bus.history[-1] = replace(record, headers=tuple(headers.items()))
        evidence.log = evidence.logged(evidence.bus, "lying")
        return failures(evidence.verified(evidence.whole))

    return codes


def forked(*, borrowed: bool) -> Callable[[Place], str]:
    """Return the codes of a log that signs two histories: the hidden history fits no checkpoint of the witnesses."""

    def codes(place: Place) -> str:
        fork = Evidence(place.fresh())
        witnesses = 2 if borrowed else 0
        note = (place.evidence if borrowed else fork).note(witnesses=witnesses)
        return failures(fork.verified(evidence_of(CASE, fork.source(checkpoints={0: note}))))

    return codes


def another_log(place: Place) -> str:
    """Return the code for a user who asks for the real bus and is shown a play."""
    real = Ed25519Signer(origin_of(BUS[5:], 0), SigningKey(vectors.seed("log")))
    return failures(place.evidence.verified(place.evidence.whole, Trust((key(real.verifier),), quorum=0)))


def another_operator(place: Place) -> str:
    """Return the codes for an operator's key of another bus."""
    given = trust(operator=place.evidence.operator._replace(name=f"nrmbus/{BUS[5:]}/operator"))
    return failures(place.evidence.verified(place.evidence.whole, given))


OTHERS: list[tuple[str, Callable[[Place], str], str]] = [
    ("larger than anybody reads", too_long, "evidence_too_large"),
    ("a folder", a_folder, "evidence_unreadable"),
    ("registrar and log lie about the event", lying("id"), "other_event"),
    ("registrar and log lie about what the sender signed", lying("sender"), "sender_signature_invalid"),
    ("registrar and log lie about who the sender is", lying("stranger"), "sender_key_unknown"),
    ("a fork of the log", forked(borrowed=False), "quorum_missing"),
    ("a fork under the witnesses' checkpoint", forked(borrowed=True), "inclusion_invalid"),
    ("the keys of another bus's log", another_log, "log_unknown"),
    ("the operator of another bus", another_operator, "bus_differs registrar_key_unknown sender_key_unknown"),
]

EVIDENCE = [
    *[Row(name, "evidence", "verifier", codes, verified(change)) for name, change, codes in ALTERED],
    *[Row(name, "evidence", "verifier", code, looked_at(trick)) for name, trick, code in TRICKS],
    *[Row(name, "evidence", "verifier", code, codes) for name, codes, code in OTHERS],
]
