"""Altered topics and the codes of their readers: history, checkpoints, co-signatures, and keys."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace

from agencies import BUS, town
from auditor.alteration import By, Place, Row, What
from auditor.evidence.forger import FORGER, older, replaced, signed, text, untimed
from auditor.evidence.given import LASTING, LOG, ORIGIN, OTHER_CASE, STRANGER, TIME, WITNESSES, Evidence
from auditor.log.folders import code_of
from auditor.played import with_header
from desk.witness.test_decision import BAD, OUTCOMES
from nrmbus.auditor.history.history import History, HistoryError
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.ingest import LogIngest
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.desk.witness.decision import Alarm, Known, Submitted, follows
from nrmbus.published import vectors
from nrmbus.wire import dsse, statement
from nrmbus.wire import json as canonical
from nrmbus.wire.errors import ProofError
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import COSIGNATURE_ED25519, Checkpoint, Policy, origin_of, witness_name
from nrmbus.wire.log.cosignature import Cosigner, message, verifier
from nrmbus.wire.log.note import LIMIT, Note, Signature, key_id_of, vkey
from nrmbus.wire.record import AUDIENCE, MATERIAL, REGISTRATION, Record
from nrmbus.wire.registration import Registration, sign_registration

Alter = Callable[[list[Record], Evidence], object]
OTHER_BUS = "play-fedcba9876543210"


def header(record: Record, name: str) -> bytes:
    """Return the value of one header."""
    return dict(record.headers)[name]


def without(record: Record, name: str) -> Record:
    """Return the record without one header."""
    return replace(record, headers=tuple(each for each in record.headers if each[0] != name))


def put(number: int, made: Callable[[Record, Evidence], Record]) -> Alter:
    """Replace one record."""
    return lambda records, evidence: records.__setitem__(number - 1, made(records[number - 1], evidence))


def resigned(signer: SigningKey | None = None, **fields: object) -> Callable[[Record, Evidence], Record]:
    """Sign the registration with other *fields*, by the registrar (then corrupted) or by *signer*."""

    def made(record: Record, evidence: Evidence) -> Record:
        said = json.loads(statement.body_of("registration", header(record, REGISTRATION)))
        whole = {name: value for name, value in (said | fields).items() if value is not None}
        registration = Registration.parse(canonical.dumps(whole))
        return with_header(record, REGISTRATION, sign_registration(registration, signer or evidence.bus.key))

    return made


def words(change: Callable[[bytes], bytes]) -> Callable[[Record, Evidence], Record]:
    """Change bytes of the registrar's signed statement."""
    return lambda record, _: with_header(record, REGISTRATION, change(header(record, REGISTRATION)))


def one_level_up(raw: bytes) -> bytes:
    """Return the statement with a path that begins one level higher, as if the node above it were a leaf."""
    place, size = int.from_bytes(raw[101:105]), int.from_bytes(raw[105:109])
    return raw[:101] + (place >> 1).to_bytes(4) + (size >> 1).to_bytes(4) + bytes([raw[109] - 1]) + raw[142:]


def in_an_envelope(record: Record, evidence: Evidence) -> Record:
    """Return the record with its registration in a DSSE envelope of its own."""
    body = statement.body_of("registration", header(record, REGISTRATION))
    kind = "application/vnd.nrmbus.registration.v1+json"
    return with_header(record, REGISTRATION, dsse.wrap(kind, body, evidence.bus.key))


def as_a_delivery(record: Record, evidence: Evidence) -> Record:
    """Return the record with its registration signed as a delivery."""
    body = statement.body_of("registration", header(record, REGISTRATION))
    return with_header(record, REGISTRATION, statement.sign_bytes("delivery", body, evidence.bus.key))


def of_another(number: int) -> Callable[[Record, Evidence], Record]:
    """Return the envelope under the registrar's statement on another event."""
    return lambda record, evidence: said_of(record, evidence.bus.history[number - 1])


def said_of(envelope: Record, other: Record) -> Record:
    """Return the envelope of one record under the registrar's headers of another."""
    kept = without(without(envelope, REGISTRATION), AUDIENCE)
    return replace(kept, headers=(*kept.headers, *((name, header(other, name)) for name in (AUDIENCE, REGISTRATION))))


def bare(record: Record, _: Evidence) -> Record:
    """Return the record without its envelope."""
    return Record(record.key, b"", tuple(each for each in record.headers if each[0].startswith("nrm_")))


def sender_forged(record: Record, evidence: Evidence) -> Record:
    """Return a record with a forged signature of the sender, registered by a corrupt registrar."""
    body = json.loads(
        header(record, MATERIAL) if header(record, MATERIAL)[:1] == b"{" else b64decode(header(record, MATERIAL))
    )
    body["signatures"][0]["sig"] = b64encode(FORGER.sign(b"")).decode()
    material = canonical.dumps(body)
    forged = with_header(record, MATERIAL, b64encode(material))
    return resigned(envelope=canonical.digest(material))(forged, evidence)


HISTORIES: list[tuple[str, Alter, str, str]] = [
    ("one taken out", lambda records, _: records.pop(2), "gap", "chain_broken"),
    ("the head cut", lambda records, _: records.pop(0), "gap", "chain_broken"),
    ("one twice", lambda records, _: records.insert(3, records[2]), "duplicate", "chain_broken"),
    ("an earlier one again at the end", lambda records, _: records.append(records[2]), "duplicate", "chain_broken"),
    ("two swapped", lambda records, _: records.insert(2, records.pop(3)), "gap", "chain_broken"),
    ("in the opposite order", lambda records, _: records.reverse(), "gap", "chain_broken"),
    ("another one named before it", put(3, resigned(previous="f" * 64)), "chain_broken", "chain_broken"),
    ("another number", put(3, resigned(number=9)), "gap", "chain_broken"),
    ("the number of another", put(4, resigned(number=2)), "out_of_turn", "chain_broken"),
    ("another bus", put(3, resigned(bus=OTHER_BUS)), "foreign", "foreign"),
    ("the bus that is no play", put(3, resigned(bus=BUS[5:])), "foreign", "foreign"),
    ("another partition", put(3, resigned(partition=1)), "foreign", "foreign"),
    ("a registration forged", put(3, resigned(FORGER)), "signature_invalid", "signature_invalid"),
    ("a registration edited", put(3, words(lambda raw: raw.replace(b'"ngo-a"', b'"ngo-b"'))), "signature_invalid", "signature_invalid"),
    ("a signature altered", put(3, words(lambda raw: raw[:21] + bytes(64) + raw[85:])), "signature_invalid", "signature_invalid"),
    ("a salt altered", put(3, words(lambda raw: raw[:85] + bytes(16) + raw[101:])), "signature_invalid", "signature_invalid"),
    ("the path to another place", put(3, words(lambda raw: raw[:104] + bytes([raw[104] ^ 1]) + raw[105:])), "signature_invalid", "signature_invalid"),
    ("a path altered", put(3, words(lambda raw: raw[:110] + bytes(32) + raw[142:])), "signature_invalid", "signature_invalid"),
    ("a path cut", put(3, words(lambda raw: raw[:109] + bytes([raw[109] - 1]) + raw[142:])), "unreadable", "unreadable"),
    ("an empty transaction", put(3, words(lambda raw: raw[:101] + bytes(8) + raw[109:])), "unreadable", "unreadable"),
    ("a transaction of one", put(3, words(lambda raw: raw[:101] + (1).to_bytes(8) + b"\0" + statement.body_of("registration", raw))), "signature_invalid", "signature_invalid"),
    ("the leaf of another transaction", put(3, lambda record, evidence: words(lambda raw: raw[:110] + header(evidence.bus.history[3], REGISTRATION)[110:238] + raw[238:])(record, evidence)), "signature_invalid", "signature_invalid"),
    ("an inner node of the transaction", put(3, words(one_level_up)), "signature_invalid", "signature_invalid"),
    ("a registration in the form of before", put(3, in_an_envelope), "unreadable", "unreadable"),
    ("a registration that is signed as a delivery", put(3, as_a_delivery), "unreadable", "unreadable"),
    ("a registration nested too deep", put(3, words(lambda _: b"[" * 5000)), "unreadable", "unreadable"),
    ("two registrations in one record", put(3, lambda record, _: record.with_header(REGISTRATION, b"{}")), "unreadable", "unreadable"),
    ("no registration", put(3, lambda record, _: without(record, REGISTRATION)), "unreadable", "unreadable"),
    ("a record of nothing", put(3, lambda _, __: Record(None, None, ())), "unreadable", "unreadable"),
    ("the registration of another event", put(3, of_another(6)), "envelope_altered", "chain_broken"),
    ("the registration of another case", put(3, of_another(4)), "envelope_altered", "chain_broken"),
    ("the registration of an event that is another", put(3, resigned(id=vectors.EVENT_ID)), "envelope_altered", "envelope_altered"),
    ("the registration of a case that is another", put(3, resigned(subject=OTHER_CASE)), "envelope_altered", "envelope_altered"),
    ("another sender", put(3, resigned(source="vac")), "envelope_altered", "envelope_altered"),
    ("data altered", put(2, lambda record, _: replace(record, value=(record.value or b"").replace(b"emergency", b"ordinary"))), "envelope_altered", "envelope_altered"),
    ("an attribute altered", put(2, lambda record, _: with_header(record, "ce_actor", b"S-2")), "envelope_altered", "envelope_altered"),
    ("an attribute taken out", put(2, lambda record, _: without(record, "ce_policy")), "envelope_altered", "unreadable"),
    ("an attribute that nobody signed", put(2, lambda record, _: record.with_header("ce_note", b"urgent")), "envelope_altered", "unreadable"),
    ("the sender's signature taken out", put(2, lambda record, _: without(record, MATERIAL)), "envelope_altered", "unreadable"),
    ("the envelope of another event", put(3, lambda record, evidence: said_of(evidence.bus.history[5], record)), "envelope_altered", "envelope_altered"),
    ("a refusal made a registration", put(5, resigned(verdict="registered", code=None, rule=None, article=None)), "envelope_missing", "envelope_missing"),
    ("an envelope taken out", put(3, bare), "envelope_missing", "envelope_missing"),
    ("the envelope of the last one taken out", put(8, bare), "envelope_missing", "envelope_missing"),
    ("every envelope of a case taken out", lambda records, evidence: [put(n, bare)(records, evidence) for n in (2, 3, 6, 8)], "envelope_missing", "envelope_missing"),
    ("an envelope's data left, the rest taken out", put(3, lambda record, evidence: replace(bare(record, evidence), value=record.value)), "envelope_altered", "unreadable"),
    ("data put to a refusal", put(5, lambda record, _: replace(record, value=b"{}")), "envelope_altered", "envelope_altered"),
    ("an attribute put to a refusal", put(5, lambda record, _: record.with_header("ce_id", b"x")), "envelope_altered", "envelope_altered"),
    ("an audience altered", put(2, lambda record, _: with_header(record, AUDIENCE, header(record, AUDIENCE).replace(b"special-unit", b"fund"))), "audience_altered", "audience_altered"),
    ("the audience of another", put(2, lambda record, evidence: with_header(record, AUDIENCE, header(evidence.bus.history[2], AUDIENCE))), "audience_altered", "audience_altered"),
    ("an audience taken out", put(2, lambda record, _: without(record, AUDIENCE)), "audience_altered", "unreadable"),
]  # fmt: skip
"""Alterations of ``nrm.cases``, with the code of the auditor's first reading and the code of a replay."""


def reading_of(log: Log, evidence: Evidence) -> LogIngest:
    """Return a log ingest that begins."""
    return LogIngest(log, lambda kid: evidence.bus.directory.any_verify_key("registrar", kid))


def taken(reading: LogIngest, records: list[Record]) -> None:
    """Take all *records* to the end."""
    for each in records:
        reading.take(each)
    reading.end()


def read_by_the_auditor(alter: Alter, *, known: bool = False) -> Callable[[Place], str]:
    """Return the auditor's code for the history, read at once or after the auditor had read and signed the true one."""

    def said(place: Place) -> str:
        home, evidence = place.fresh(), place.evidence
        heads = SignedHeads(home / "heads.db")
        records = list(evidence.bus.history)
        if known:
            with closing(Log(home / "log", heads, BUS, 0)) as log:
                taken(reading_of(log, evidence), records)
                log.commit()
        alter(records, evidence)
        with closing(Log(home / "log", heads, BUS, 0)) as log:
            return code_of(lambda: taken(reading_of(log, evidence), records))

    return said


def read_when_the_log_was_restored(place: Place) -> str:
    """Return the code if topic and log come from one old backup and agree, but not with the signed checkpoint."""
    home, evidence = place.fresh(), place.evidence
    heads = SignedHeads(home / "heads.db")
    with closing(Log(home / "log", heads, BUS, 0)) as log:
        taken(reading_of(log, evidence), evidence.bus.history)
        log.sign(LOG, LASTING, TIME)
    with closing(Log(home / "restored", heads, BUS, 0)) as log:
        return code_of(lambda: taken(reading_of(log, evidence), evidence.bus.history[:5]))


def replayed(alter: Alter) -> Callable[[Place], str]:
    """Return the code of a replay of the history."""

    def said(place: Place) -> str:
        records, history = list(place.evidence.bus.history), History(place.evidence.bus.directory)
        alter(records, place.evidence)
        try:
            for each in records:
                history.take(each, 0)
            history.verifier.check_last()
        except HistoryError as error:
            return error.code
        return ""

    return said


REWRITTEN: list[tuple[str, Alter, str]] = [
    ("one taken out afterwards", lambda records, _: records.pop(2), "gap"),
    ("the head cut afterwards", lambda records, _: records.pop(0), "gap"),
    ("the tail cut afterwards", lambda records, _: records.pop(), "tail_cut"),
    ("all of it taken out afterwards", lambda records, _: records.clear(), "tail_cut"),
    ("one twice afterwards", lambda records, _: records.insert(3, records[2]), "duplicate"),
    ("one rewritten afterwards, by the registrar", put(3, resigned(envelope="e" * 64)), "out_of_turn"),
    ("an envelope taken out afterwards", put(3, bare), "envelope_missing"),
    ("an audience altered afterwards", put(2, lambda record, _: with_header(record, AUDIENCE, header(record, AUDIENCE).replace(b"special-unit", b"fund"))), "audience_altered"),
    ("an audience taken out afterwards", put(2, lambda record, _: without(record, AUDIENCE)), "audience_altered"),
    ("the envelope of another event afterwards", put(3, lambda record, evidence: said_of(evidence.bus.history[5], record)), "envelope_altered"),
    ("the sender's signature taken out afterwards", put(2, lambda record, _: without(record, MATERIAL)), "envelope_altered"),
    ("data put to a refusal afterwards", put(5, lambda record, _: replace(record, value=b"{}")), "envelope_altered"),
    ("one made unreadable afterwards", put(3, lambda _, __: Record(None, None, ())), "unreadable"),
]  # fmt: skip
"""Alterations of a history that the auditor had read before, with the auditor's code."""


# -- nrm.checkpoints, as a desk's witness reads it ---------------------------------------------------------------------


def believed(make: Callable[[], bytes | None]) -> Callable[[Place], str]:
    """Return a witness's code for a record, before any comparison."""

    def said(_: Place) -> str:
        try:
            Submitted.believed(make(), BUS, town().directory.log_keys())
        except Alarm as alarm:
            return alarm.code
        return ""

    return said


def followed(make: Callable[[], tuple[Submitted, Known]]) -> Callable[[Place], str]:
    """Return a witness's code for a checkpoint that its log signed."""

    def said(_: Place) -> str:
        try:
            follows(*make())
        except Alarm as alarm:
            return alarm.code
        return ""

    return said


# -- nrm.witness.*, as the auditor collects it -------------------------------------------------------------------------


def cosigned(text: bytes, *more: Signature) -> bytes:
    """Return the record of a witness's desk."""
    return Note(text, more or (WITNESSES[0].cosign(text, TIME),)).bytes()


def edited(text: bytes) -> Signature:
    """A co-signature with its last bit altered."""
    sound = WITNESSES[0].cosign(text, TIME)
    return replace(sound, value=sound.value[:-1] + bytes([sound.value[-1] ^ 1]))


def collected(make: Callable[[Evidence], bytes | None]) -> Callable[[Place], str]:
    """Return the auditor's code for a record in the topic of the first witness."""

    def said(place: Place) -> str:
        cosigned = Cosigned(place.fresh() / "cosigned.db")
        cosigned.publish([(place.evidence.log.head, place.evidence.note(witnesses=0))], 0)
        code = ""
        try:
            cosigned.add(make(place.evidence), [WITNESSES[0].verifier])
        except ProofError as error:
            code = error.code
        assert (cosigned.newest(ORIGIN, 1) is None) == bool(code)
        return code

    return said


def untimed_alone(evidence: Evidence) -> bytes:
    """The first witness's signature, of which it does not say when."""
    head, name = evidence.log.head.text, WITNESSES[0].verifier.name
    signature = SigningKey(vectors.seed("witness ngo-a")).sign(message(COSIGNATURE_ED25519, name, head, 0))
    return cosigned(head, Signature(name, key_id_of(WITNESSES[0].verifier), bytes(8) + signature))


COLLECTED: list[tuple[str, Callable[[Evidence], bytes | None], str]] = [
    ("the co-signature of another agency", lambda e: cosigned(e.log.head.text, WITNESSES[1].cosign(e.log.head.text, TIME)), "note_unsigned"),
    ("a co-signature under another key", lambda e: cosigned(e.log.head.text, Cosigner(WITNESSES[0].verifier.name, FORGER).cosign(e.log.head.text, TIME)), "note_unsigned"),
    ("a co-signature edited", lambda e: cosigned(e.log.head.text, edited(e.log.head.text)), "signature_invalid"),
    ("a co-signature of another tree under this text", lambda e: cosigned(e.log.head.text, WITNESSES[0].cosign(text(e, size=9), TIME)), "signature_invalid"),
    ("a co-signature without a time", untimed_alone, "note_unsigned"),
    ("the log's own signature alone", lambda e: cosigned(e.log.head.text, LOG.sign(e.log.head.text)), "note_unsigned"),
    ("a co-signature of a fork", lambda e: cosigned(text(e, root=bytes(32))), "root_differs"),
    ("a co-signature of a size that was not published", lambda e: cosigned(text(e, size=9)), "origin_differs"),
    ("a co-signature for another bus", lambda e: cosigned(text(e, origin=origin_of(OTHER_BUS, 0))), "origin_differs"),
    ("a co-signature for another partition", lambda e: cosigned(text(e, origin=origin_of(BUS, 1))), "origin_differs"),
    ("a co-signature of something else", lambda _: cosigned(b"urgent\n"), "checkpoint_malformed"),
    ("half a note", lambda e: cosigned(e.log.head.text)[:-9], "note_malformed"),
    ("a record without a value", lambda _: None, "note_malformed"),
    ("a note that is too long", lambda e: cosigned(e.log.head.text) + bytes(LIMIT), "note_too_large"),
]  # fmt: skip


# -- keys, checkpoints and proofs, as the auditor's door gives them ------------------------------------


def shown(attempt: Callable[[Evidence], object]) -> Callable[[Place], str]:
    """Return the code for an answer of the auditor's door."""

    def said(place: Place) -> str:
        try:
            attempt(place.evidence)
        except ProofError as error:
            return error.code
        return ""

    return said


def policy(quorum: int = 2) -> Policy:
    """Both keys of the log, and so many of three witnesses."""
    return Policy((LOG.verifier, LASTING.verifier), tuple(each.verifier for each in WITNESSES), quorum)


def included(
    evidence: Evidence,
    index: int,
    *,
    leaf: int | None = None,
    size: int = 8,
    change: Callable[[list[bytes]], object] = len,
) -> None:
    """Verify the proof of one registration, altered."""
    proof = evidence.log.inclusion_proof(index + 1, 8)
    change(proof)
    raw = evidence.log.registration((index if leaf is None else leaf) + 1)
    merkle.verify_inclusion(index, size, merkle.leaf_hash(raw), proof, evidence.log.head.root)


SHOWN: list[tuple[str, Callable[[Evidence], object], str]] = [
    ("a witness taken out", lambda e: policy().believe(e.note(witnesses=1)), "quorum_missing"),
    ("a stranger for a witness", lambda e: policy(1).believe(signed(text(e), STRANGER.cosign(text(e), TIME))), "quorum_missing"),
    ("a witness who says no time", lambda e: policy().believe(untimed(e)), "quorum_missing"),
    ("the log's key replaced", lambda e: policy().believe(replaced(e)), "log_signature_missing"),
    ("a checkpoint of another bus", lambda e: policy().believe(signed(text(e, origin=origin_of(OTHER_BUS, 0)))), "origin_differs"),
    ("one witness under two names", lambda _: Policy((LOG.verifier, LASTING.verifier), (WITNESSES[0].verifier, Cosigner(witness_name(BUS, "fund"), SigningKey(vectors.seed("witness ngo-a"))).verifier), 2), "policy_invalid"),
    ("a verifier key with one letter altered", lambda _: verifier(vkey(LOG.verifier)[:-9] + ("A" if vkey(LOG.verifier)[-9] != "A" else "B") + vkey(LOG.verifier)[-8:]), "key_malformed"),
    ("a stale checkpoint for a newer proof", lambda e: merkle.verify_inclusion(7, Checkpoint.parse(Note.parse(older(e)).text).size, bytes(32), [], bytes(32)), "index_outside_tree"),
    ("the proof of another registration", lambda e: included(e, 2, leaf=3), "inclusion_invalid"),
    ("a proof cut", lambda e: included(e, 2, change=lambda proof: proof.pop()), "inclusion_invalid"),
    ("a proof in another order", lambda e: included(e, 2, change=lambda proof: proof.reverse()), "inclusion_invalid"),
    ("a wrong tree size for a proof", lambda e: included(e, 2, size=4), "inclusion_invalid"),
]  # fmt: skip


def rows(what: What, by: By, made: Iterable[tuple[str, str, Callable[[Place], str]]]) -> list[Row]:
    """Rows of name, code and what says it."""
    return [Row(name, what, by, code, said) for name, code, said in made]


TOPICS = [
    *rows("topic", "reading", ((name, code, read_by_the_auditor(alter)) for name, alter, code, _ in HISTORIES)),
    *rows("topic", "reading", ((name, code, read_by_the_auditor(alter, known=True)) for name, alter, code in REWRITTEN)),
    *rows("topic", "reading", [("the tail cut, and the log with it", "tail_cut", read_when_the_log_was_restored)]),
    *rows("topic", "history", ((name, code, replayed(alter)) for name, alter, _, code in HISTORIES)),
    *rows("topic", "history", [("the sender's signature forged, registered by the registrar", "signature_invalid", replayed(put(3, sender_forged)))]),
    *rows("topic", "witness", ((name, code, believed(make)) for name, (code, make) in BAD.items())),
    *rows("topic", "witness", ((name, code, followed(make)) for name, (code, make) in OUTCOMES.items() if code not in {"follows", "known"})),
    *rows("topic", "collecting", ((name, code, collected(make)) for name, make, code in COLLECTED)),
    *rows("key", "policy", ((name, code, shown(attempt)) for name, attempt, code in SHOWN)),
]  # fmt: skip
