"""Bundles that somebody altered who knows to write the manifest anew, and what the verifier says of them, in its order."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace

from auditor.alteration import Place, Row
from auditor.evidence.forger import (  # fmt: skip
    FIRST,
    FORGER,
    FOURTH,
    GAPS,
    LAST,
    NOTE,
    REFUSED,
    ROWS,
    SECOND,
    Change,
    both,
    deep,
    directory,
    drop,
    entry,
    extended,
    header,
    lookalike,
    note,
    odd,
    older,
    operator,
    other_case,
    part,
    put,
    registrar,
    replaced,
    resigned,
    resized,
    respelled,
    row,
    rows,
    saying,
    signed,
    swap,
    text,
    untimed,
    without,
)
from auditor.evidence.given import LOG, OTHER_CASE, STRANGER, TIME, WITNESSES, Evidence, key, trust, unpacked
from auditor.evidence.odd_zips import TRICKS, Files
from nrmbus.auditor.evidence.bundle import bundle
from nrmbus.auditor.evidence.verifier import Trust, Verification
from nrmbus.published import vectors
from nrmbus.wire import json as canonical
from nrmbus.wire import statement
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log.checkpoint import origin_of
from nrmbus.wire.log.note import Ed25519Signer, Signature
from nrmbus.wire.record import REGISTRATION
from nrmbus.wire.registration import Registration, sign_registration
from registrar.given import BUS, CASE

E2, E3, E8 = (f"envelopes/0-{number}.json" for number in (2, 3, 8))
P2, P3 = (f"proofs/0-{number}.json" for number in (2, 3))

ALTERED: list[tuple[str, Change, str]] = [
    # registrations
    ("a registration edited", row(LAST, None, source="vac"), "leaf_differs inclusion_invalid other_event sequence_gap"),
    ("a registration forged", row(LAST, lambda _: FORGER, policy={}), "registrar_key_unknown inclusion_invalid"),
    ("a registration altered by the registrar", row(LAST, registrar, policy={}), "inclusion_invalid"),
    ("a refusal made a registration", row(REFUSED, registrar, verdict="registered"), "inclusion_invalid envelope_missing chain_broken"),
    ("another registrar's signature", lambda files, _: rows(files, lambda read: read[FIRST].update(statement=read[SECOND]["statement"])), "leaf_differs"),
    ("a signature cut", lambda files, _: rows(files, lambda read: read[FIRST].update(statement=read[FIRST]["statement"].replace('"sig":"', '"sig":"AAAA'))), "registrar_signature_invalid"),
    ("a purpose of another statement", lambda files, _: rows(files, lambda read: read[FIRST].update(statement=read[FIRST]["statement"].replace("registration", "delivery"))), "registration_malformed"),
    ("the tail cut", lambda files, _: rows(files, lambda read: read.pop()), "count_differs gap_report_differs file_extra"),
    ("the head cut, and every trace of it", without(FIRST), "sequence_gap"),
    ("one taken out, and every trace of it", without(SECOND), "sequence_gap"),
    ("everything taken out", without(FIRST, SECOND, REFUSED, FOURTH, LAST), "count_differs gap_report_differs file_extra"),
    ("two in another order", lambda files, _: rows(files, lambda read: read.insert(0, read.pop(LAST))), "order_differs"),
    ("two numbers swapped", lambda files, _: rows(files, lambda read: (read[FIRST].update(number=3), read[SECOND].update(number=2))), "number_differs count_differs sequence_gap gap_report_differs file_extra"),
    ("one twice", lambda files, _: rows(files, lambda read: read.insert(1, read[FIRST])), "registration_duplicate count_differs"),
    ("a broken chain", row(SECOND, registrar, previous="f" * 64), "chain_broken inclusion_invalid"),
    ("the registration of another case", lambda files, e: files.update({ROWS: files[ROWS] + other_case(e)}), "case_differs count_differs"),
    ("the registration of another bus", row(LAST, registrar, bus="0123456789abcdef"), "bus_differs count_differs gap_report_differs file_extra"),
    ("a blank in a leaf", lambda files, _: rows(files, lambda read: read[LAST].update(leaf=read[LAST]["leaf"] + " ")), "registration_malformed count_differs gap_report_differs file_extra"),
    ("a leaf too deep", lambda files, _: rows(files, deep), "registration_malformed count_differs gap_report_differs file_extra"),
    ("a member too many", lambda files, _: rows(files, lambda read: read[LAST].update(note="urgent")), "registration_malformed count_differs gap_report_differs file_extra"),
    ("a signature with more to say", lambda files, _: rows(files, lambda read: read[LAST].update(statement=read[LAST]["statement"].replace('"sig":', '"alg":"none","sig":'))), "registration_malformed"),
    ("half a line", lambda files, _: files.update({ROWS: files[ROWS][:-9]}), "registration_malformed count_differs gap_report_differs file_extra"),
    # proofs
    ("a proof altered", part(P2, lambda read: read["hashes"].reverse()), "inclusion_invalid"),
    ("a proof cut", part(P2, lambda read: read["hashes"].pop()), "inclusion_invalid"),
    ("a proof too long", part(P2, lambda read: read["hashes"].append(read["hashes"][0])), "inclusion_invalid"),
    ("two proofs swapped", swap(P2, P3), "index_differs"),
    ("a proof for another place", part(P2, lambda read: read.update(index=2)), "index_differs"),
    ("a proof for another size", part(P2, lambda read: read.update(size=9)), "size_differs"),
    ("a proof spelled in another way", part(P2, respelled), "proof_malformed"),
    ("half a hash in a proof", part(P2, lambda read: read["hashes"].append("AAAA")), "proof_malformed"),
    ("a proof taken out", drop(P2), "file_missing"),
    # checkpoints
    ("a wrong tree size", note(lambda e: e.note().replace(b"\n8\n", b"\n9\n", 1)), "log_signature_invalid size_differs"),
    ("a wrong tree size, in the proofs too", both(note(lambda e: e.note().replace(b"\n8\n", b"\n7\n", 1)), resized(7)), "log_signature_invalid index_outside_tree"),
    ("a wrong tree size, signed by the log", both(note(lambda e: signed(text(e, size=9))), resized(9)), "inclusion_invalid"),
    ("another root", note(lambda e: signed(text(e, root=bytes(32)))), "inclusion_invalid"),
    ("another partition", note(lambda e: signed(text(e, origin=origin_of(BUS, 1)))), "origin_differs"),
    ("the bus that is no play", note(lambda e: signed(text(e, origin=origin_of(BUS[5:], 0)))), "origin_differs"),
    ("another play", note(lambda e: signed(text(e, origin=origin_of("play-" + "f" * 16, 0)))), "origin_differs"),
    ("a stale checkpoint", note(older), "size_differs"),
    ("a stale checkpoint, and proofs of its size", both(note(older), resized(5)), "inclusion_invalid index_outside_tree"),
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
    ("the checkpoint taken out", drop(NOTE), "file_missing"),
    # envelopes and audiences
    ("data altered", part(E2, lambda read: read.update(value=read["value"].replace("emergency", "ordinary"))), "envelope_altered"),
    ("an attribute altered", part(E2, header("ce_actor", "S-2")), "envelope_altered"),
    ("an attribute taken out", part(E2, header("ce_policy", "")), "envelope_altered"),
    ("an attribute that nobody signed", part(E2, header("ce_note", "urgent")), "envelope_altered"),
    ("an attribute twice", part(E2, lambda read: read["headers"].append(read["headers"][0])), "envelope_malformed"),
    ("two envelopes swapped", swap(E2, E3), "envelope_differs"),
    ("an envelope signed by another", part(E8, resigned), "envelope_differs"),
    ("an envelope under another key", part(E2, lambda read: read.update(key=OTHER_CASE)), "other_event"),
    ("an envelope taken out", drop(E2), "envelope_missing"),
    ("an envelope of a refusal", lambda files, _: files.update({"envelopes/0-5.json": files[E2]}), "envelope_unexpected"),
    ("an envelope that is said to be gone", part(GAPS, lambda read: read.update(ended=["0-2"])), "gap_report_differs"),
    ("an audience altered", lambda files, _: rows(files, lambda read: read[FIRST].update(audience=read[FIRST]["audience"].replace("special-unit", "fund"))), "audience_differs"),
    ("an audience taken out", lambda files, _: rows(files, lambda read: read[FIRST].pop("audience")), "audience_missing"),
    # the directory
    ("an entry edited", entry(lambda _: FORGER, role="police"), "operator_signature_invalid registrar_key_unknown"),
    ("an entry taken out", directory(lambda entries, _: entries.pop(0)), "directory_gap registrar_key_unknown sender_key_unknown"),
    ("the sender's entries taken out", directory(lambda entries, _: entries.clear()), "registrar_key_unknown sender_key_unknown"),
    ("an entry of another bus", entry(operator, bus="0123456789abcdef"), "bus_differs registrar_key_unknown"),
    ("an entry with a weak key", entry(operator, signing=b64encode(bytes(32)).decode()), "key_weak registrar_key_unknown"),
    ("an entry without a key", entry(operator, signing="?"), "directory_malformed registrar_key_unknown"),
    # the rest
    ("the gap report altered", part(GAPS, lambda read: read.update(later=-1)), "gap_report_differs"),
    ("another case in the manifest", saying(case=OTHER_CASE), "case_differs count_differs gap_report_differs file_extra"),
    ("a play that says it was none", saying(bus=BUS[5:]), "bus_differs count_differs gap_report_differs file_extra"),
    ("another format", saying(format="nrmbus-evidence/2"), "manifest_malformed"),
    ("a file of the manifest taken out", both(saying(), drop("README.md")), "file_missing"),
    ("a file that belongs to nothing", put("schemas/read-me-first.html", b"<script>"), "file_extra"),
    ("a file that nobody lists", both(saying(), put("schemas/nrm.case.linked/v1.schema.json", b"{}")), "file_extra"),
    ("another schema", both(saying(), put("schemas/nrm.case.signal_recorded/v1.schema.json", b"{}")), "file_altered"),
    ("another verifier", both(saying(), put("verify.py", b"print('verified')")), "file_altered"),
]  # fmt: skip


def verified(change: Change) -> Callable[[Place], str]:
    """What the verifier says after *change*; it never says that the bundle is verified, also where it was given no keys."""

    def said(place: Place) -> str:
        raw = place.evidence.resealed(lambda files: change(files, place.evidence))
        assert place.evidence.verified(raw, Trust()).verdict[0] in {1, 3}
        return failures(place.evidence.verified(raw))

    return said


def failures(found: Verification) -> str:
    """Its codes, in order; with one, the exit status is 1."""
    assert (found.verdict[0] == 1) == bool(found.failures)
    return " ".join(dict.fromkeys(line.result for line in found.failures))


def looked_at(trick: Callable[[Files], bytes]) -> Callable[[Place], str]:
    """What the verifier says of a zip that is not what it looks like: one line, before anything in it is believed."""

    def said(place: Place) -> str:
        found = place.evidence.verified(trick(place.evidence.files))
        assert [line.check for line in found.lines] == ["bundle"]
        return failures(found)

    return said


def too_long(place: Place) -> str:
    """A zip of nothing, a quarter of a gigabyte long."""
    path = place.fresh() / "long.zip"
    with path.open("wb") as file:
        file.write(place.evidence.whole)
        file.truncate((256 << 20) + 1)
    return failures(Verification(path, Trust()))


def linked(place: Place) -> str:
    """A folder with a link, which would lead to a file that nobody handed over."""
    folder = place.fresh()
    unpacked(place.evidence, folder)
    (folder / "gaps.json").rename(folder.parent / "gaps.json")
    (folder / "gaps.json").symlink_to(folder.parent / "gaps.json")
    return failures(Verification(folder, Trust()))


def lying(lie: str) -> Callable[[Place], str]:
    """Registrar and log are in it together: the sender's signature is what they cannot make."""

    def said(place: Place) -> str:
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
                material = statement.wrap(body["payloadType"], b64decode(body["payload"]), FORGER)
                leaf["key"] = FORGER.kid
            headers["ce_dssematerial"] = b64encode(material)
            leaf["envelope"] = canonical.digest(material)
        headers[REGISTRATION] = sign_registration(Registration.parse(canonical.dumps(leaf)), evidence.bus.key)
        evidence.bus.history[-1] = replace(record, headers=tuple(headers.items()))
        evidence.log = evidence.logged(evidence.bus, "lying")
        return failures(evidence.verified(evidence.whole))

    return said


def forked(*, borrowed: bool) -> Callable[[Place], str]:
    """The log signs two histories: the one that the witnesses did not see lacks them, and fits no checkpoint of the other."""

    def said(place: Place) -> str:
        fork = Evidence(place.fresh())
        if borrowed:
            return failures(fork.verified(fork.resealed(lambda files: files.update({NOTE: place.evidence.note()}))))
        return failures(fork.verified(bundle(CASE, fork.source(checkpoints={0: fork.note(witnesses=0)}))))

    return said


def another_log(place: Place) -> str:
    """Somebody who asks for the real bus is not content with a play."""
    real = Ed25519Signer(origin_of(BUS[5:], 0), SigningKey(vectors.seed("log")))
    return failures(place.evidence.verified(place.evidence.whole, Trust((key(real.verifier),), quorum=0)))


def another_operator(place: Place) -> str:
    """An operator's key is for the bus that its name says."""
    given = trust(operator=place.evidence.operator._replace(name=f"nrmbus/{BUS[5:]}/operator"))
    return failures(place.evidence.verified(place.evidence.whole, given))


OTHERS: list[tuple[str, Callable[[Place], str], str]] = [
    ("larger than anybody reads", too_long, "bundle_too_large"),
    ("a folder with a link", linked, "name_unsafe"),
    ("registrar and log lie about the event", lying("id"), "other_event"),
    ("registrar and log lie about what the sender signed", lying("sender"), "sender_signature_invalid"),
    ("registrar and log lie about who the sender is", lying("stranger"), "sender_key_unknown"),
    ("a fork of the log", forked(borrowed=False), "quorum_missing"),
    ("a fork under the witnesses' checkpoint", forked(borrowed=True), "inclusion_invalid"),
    ("the keys of another bus's log", another_log, "log_unknown"),
    ("the operator of another bus", another_operator, "bus_differs registrar_key_unknown sender_key_unknown"),
]

BUNDLES = [
    *[Row(name, "bundle", "verifier", codes, verified(change)) for name, change, codes in ALTERED],
    *[Row(name, "bundle", "verifier", code, looked_at(trick)) for name, trick, code in TRICKS],
    *[Row(name, "bundle", "verifier", code, said) for name, said, code in OTHERS],
]
