"""Statements of one transaction under one signature: each proves itself alone, and none passes for another."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.published import vectors
from nrmbus.wire import dsse, json, statement, transaction
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log import merkle
from nrmbus.wire.registration import verify_answer, verify_delivery, verify_registration
from nrmbus.wire.transaction import LEAVES, PATH_LIMIT, ROOTS, SALT_BYTES, Proved, Thing, Transaction, salts
from wire.given import CANARY, refused
from wire.test_registration import ANSWER, DELIVERY, REGISTRATION

KEY = SigningKey.from_seed(vectors.seed("registrar"))
NOBODY: dict[str, VerifyKey] = {}
HEAD = 110
"""Bytes before the path; the offsets below are those of the wire's page."""
KIND, KID, SIGNATURE, SALT, PLACE, SIZE, STEPS = 4, 5, 21, 85, 101, 105, 109


def key_of(kid: str) -> VerifyKey:
    """Return the registrar's key; raise LookupError for another kid."""
    return {KEY.kid: KEY.verify_key}[kid]


def body(number: int) -> bytes:
    """Return the canonical JSON of a statement, of which this form does not know the members."""
    return json.dumps({"number": number, "said": CANARY})


def thing_of(place: int) -> Thing:
    """Return the kind at *place*: registrations and deliveries in turn."""
    return "delivery" if place & 1 else "registration"


def salt(place: int) -> bytes:
    """Return the salt of the statement at *place*."""
    return bytes([place & 0xFF]) * SALT_BYTES


def leaf_of(place: int) -> bytes:
    """Return the hash of the leaf at *place*, as the page says it."""
    return sha256(b"\0" + salt(place) + dsse.pae(transaction.TYPES[thing_of(place)], body(place))).digest()


def signed(size: int, key: SigningKey = KEY) -> list[bytes]:
    """Return the proved statements of a transaction of *size*."""
    whole = Transaction()
    for place in range(size):
        assert whole.add(thing_of(place), body(place), salt(place)) == place
    whole.sign(key)
    return [whole.proved(place, thing_of(place), body(place)) for place in range(size)]


def verified(raw: bytes, thing: Thing = "registration") -> bytes:
    """Return the body of *raw*, verified."""
    return statement.verify_bytes(thing, raw, key_of)[0]


SEVEN = signed(7)
PATH = [SEVEN[2][at : at + 32] for at in range(HEAD, HEAD + 96, 32)]
"""The path of the third of seven statements."""


def put(at: int, value: bytes, raw: bytes = SEVEN[2]) -> bytes:
    """Return *raw* with other bytes at *at*."""
    return raw[:at] + value + raw[at + len(value) :]


def with_path(*path: bytes, raw: bytes = SEVEN[2]) -> bytes:
    """Return *raw* with another path, counted as it is."""
    start = HEAD + 32 * raw[STEPS]
    return raw[:STEPS] + bytes([len(path)]) + b"".join(path) + raw[start:]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 64, 100, 717])
def test_each_statement_of_a_transaction_proves_itself(size: int) -> None:
    """Every statement verifies alone, with a memory of verified roots and without one."""
    for place, raw in enumerate(signed(size)):
        transaction.forget()
        assert verified(raw, thing_of(place)) == verified(raw, thing_of(place)) == body(place)
        assert statement.body_of(thing_of(place), raw) == body(place)


def test_one_statement_alone_has_no_path() -> None:
    """The root of a transaction of one statement is its leaf."""
    raw = statement.sign_bytes("registration", body(0), KEY)

    assert raw == signed(1)[0]  # its salt is zero
    assert (raw[STEPS], raw[HEAD:]) == (0, body(0))
    assert verified(raw) == body(0)


def test_the_form_is_as_the_page_says() -> None:
    """Form, kind, kid, signature, salt, place, size, path, body; the root is signed as DSSE signs, under a type of its own."""
    leaves = [leaf_of(place) for place in range(7)]
    levels = merkle.levels(leaves)
    said = b'{"root":"%b","size":7}' % levels[-1][0].hex().encode()
    signature = KEY.sign(dsse.pae(b"application/vnd.nrmbus.transaction.v1+json", said))
    kid = sha256(KEY.public).digest()[:16]
    head = b"nrs1" + b"\1" + kid + signature + salt(2) + (2).to_bytes(4) + (7).to_bytes(4) + b"\3"

    assert SEVEN[2] == head + b"".join([leaves[3], levels[1][0], levels[2][1]]) + body(2)


REFUSED: list[tuple[str, bytes, str]] = [
    ("a path altered", put(HEAD + 40, b"\0"), "signature_invalid"),
    ("two hashes of the path swapped", with_path(PATH[1], PATH[0], PATH[2]), "signature_invalid"),
    ("the path of another place", put(PLACE, (3).to_bytes(4)), "signature_invalid"),
    ("the path of a place with a shorter path", put(PLACE, (6).to_bytes(4)), "signature_profile"),
    ("a place outside the tree", put(PLACE, (7).to_bytes(4)), "signature_profile"),
    ("another size with a path of this length", put(SIZE, (8).to_bytes(4)), "signature_invalid"),
    ("a size with a longer path", put(SIZE, (9).to_bytes(4)), "signature_profile"),
    ("an empty tree", put(PLACE, bytes(8)), "signature_profile"),
    ("an empty tree without a path", put(PLACE, bytes(8), with_path()), "signature_profile"),
    ("a tree of one leaf", put(PLACE, (0).to_bytes(4) + (1).to_bytes(4), with_path()), "signature_invalid"),
    ("a step too few", with_path(*PATH[:2]), "signature_profile"),
    ("a step too many", with_path(*PATH, bytes(32)), "signature_profile"),
    ("more steps than a size can ask for", with_path(*PATH, *[bytes(32)] * 30), "signature_profile"),
    ("sixty-five steps", with_path(*[bytes(32)] * 65), "signature_profile"),
    ("the most steps that a byte counts", with_path(*[bytes(32)] * 255), "signature_profile"),
    ("a largest size", put(PLACE, b"\x7f" + b"\xff" * 7, with_path(*[bytes(32)] * 32)), "signature_invalid"),
    ("more steps counted than there are", put(STEPS, b"\x20"), "signature_profile"),
    ("a body cut", SEVEN[2][:-1], "signature_invalid"),
    ("a body with more behind it", SEVEN[2] + b" ", "signature_invalid"),
    ("no body", SEVEN[2][: HEAD + 96], "signature_profile"),
    ("a head cut", SEVEN[2][: HEAD - 1], "signature_profile"),
    ("nothing", b"", "signature_profile"),
    ("the body of another statement", SEVEN[2][: HEAD + 96] + body(4), "signature_invalid"),
    ("a statement of another transaction", put(SIGNATURE, signed(8)[2][SIGNATURE : SIGNATURE + 64]), "signature_invalid"),
    ("another salt", put(SALT, bytes(16)), "signature_invalid"),
    ("a signature altered", put(SIGNATURE, bytes(64)), "signature_invalid"),
    ("a delivery as a registration", SEVEN[3], "signature_profile"),
    ("a delivery that is renamed a registration", put(KIND, b"\1", SEVEN[3]), "signature_invalid"),
    ("a kind of no statement", put(KIND, b"\3"), "signature_profile"),
    ("another form", put(0, b"nrs2"), "signature_profile"),
    ("a key that nobody knows", put(KID, bytes(16)), "key_not_current"),
    ("too much", SEVEN[2] + bytes(dsse.LIMIT), "signature_profile"),
]  # fmt: skip


@pytest.mark.parametrize("known", [1, 0], ids=["root known", "root unknown"])
@pytest.mark.parametrize(("raw", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_another_proof_is_refused(raw: bytes, code: str, known: int) -> None:
    """An altered proof has its code, also if the root of the true one is remembered."""
    transaction.forget()
    for true in SEVEN[2:3] * known:
        verified(true)

    refused(code, lambda: verified(raw))


def test_an_inner_node_is_no_statement() -> None:
    """The two hashes below a node, given as a leaf one level higher, do not lead to the root (second preimage)."""
    pair = leaf_of(0) + leaf_of(1)
    four, node = signed(4), sha256(b"\1" + pair).digest()
    above = four[0][HEAD + 32 : HEAD + 64]
    root = sha256(b"\1" + node + above).digest()
    forged = put(SIZE, (2).to_bytes(4), with_path(above, raw=four[0]))[: HEAD + 32] + pair

    assert Proved.read("registration", four[0]).root() == root
    refused("signature_invalid", lambda: verified(forged))
    refused("signature_invalid", lambda: verified(put(SIZE, (2).to_bytes(4), forged)))


def test_a_root_of_another_purpose_is_no_transaction() -> None:
    """The same bytes signed under another payload type, or without any, are no signature of a transaction."""
    said = b'{"root":"%b","size":1}' % leaf_of(0).hex().encode()
    for other in (said, leaf_of(0), body(0), *(dsse.pae(kind, said) for kind in (b"", *transaction.TYPES.values()))):
        refused("signature_invalid", partial(verified, put(SIGNATURE, KEY.sign(other), signed(1)[0])))

    own = dsse.pae(b"application/vnd.nrmbus.transaction.v1+json", said)
    assert verified(put(SIGNATURE, KEY.sign(own), signed(1)[0])) == body(0)


def test_a_leaf_of_the_log_is_no_leaf_of_a_transaction() -> None:
    """A partition's log hashes the statement alone, so neither tree's root is the other's."""
    leaf = Proved.read("registration", signed(1)[0]).root()

    assert leaf != merkle.leaf_hash(body(0))


def test_the_old_form_is_refused() -> None:
    """A DSSE envelope around a registration or delivery, as before transactions had one signature, has a code."""
    for thing, verify, said in (
        ("registration", verify_registration, REGISTRATION),
        ("delivery", verify_delivery, DELIVERY),
    ):
        old = dsse.wrap(f"application/vnd.nrmbus.{thing}.v1+json", said.json(), KEY)
        refused("signature_profile", partial(verify, old, key_of))


def test_an_answer_is_signed_alone() -> None:
    """An answer has no number and is not in the history: it keeps an envelope of its own, and is refused as a leaf."""
    alone = statement.sign_bytes("answer", ANSWER.json(), KEY)

    assert verify_answer(alone, key_of) == ANSWER
    refused("signature_profile", lambda: verify_answer(SEVEN[2], key_of))


def test_another_key_signs_nothing() -> None:
    """The key is asked for with every statement, also if the root is remembered."""
    other = SigningKey.generate()
    verified(SEVEN[2])

    refused("signature_invalid", lambda: statement.verify_bytes("registration", SEVEN[2], lambda _: other.verify_key))
    refused("key_not_current", lambda: statement.verify_bytes("registration", SEVEN[2], NOBODY.__getitem__))
    forged = signed(7, other)[2]
    renamed = put(KID, SEVEN[2][KID : KID + 16], forged)
    refused("signature_invalid", lambda: verified(renamed))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the list to which every verified message is added from now on."""
    seen: list[bytes] = []
    right = VerifyKey.verify

    def verify(self: VerifyKey, signature: bytes, message: bytes) -> None:
        seen.append(message)
        right(self, signature, message)

    monkeypatch.setattr(VerifyKey, "verify", verify)
    transaction.forget()
    return seen


def test_a_root_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All statements of a transaction take one signature; what a wrong one said is asked again each time."""
    seen = counted(monkeypatch)
    for place, raw in enumerate(SEVEN):
        verified(raw, thing_of(place))
    assert len(seen) == 1

    for _ in range(3):
        refused("signature_invalid", lambda: verified(put(SIGNATURE, bytes(64))))
    assert len(seen) == 4


def test_the_memory_of_roots_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more transactions than the memory has room for, the first is verified again."""
    seen = counted(monkeypatch)
    many = [statement.sign_bytes("registration", body(number), KEY) for number in range(ROOTS + 1)]
    for raw in (*many, many[0]):
        verified(raw)

    assert len(seen) == ROOTS + 2


def test_nothing_leaves_unsigned() -> None:
    """A transaction gives no proof before it is signed, and cannot be signed without statements."""
    whole = Transaction()
    whole.add("registration", body(0), salt(0))
    with pytest.raises(RuntimeError, match="unsigned"):
        whole.proved(0, "registration", body(0))
    with pytest.raises(ValueError, match="nothing to sign"):
        Transaction().sign(KEY)


def test_a_tree_that_is_built_again_gives_the_proofs_that_were() -> None:
    """The same statements in the same order have the same proofs, of one of which the signature is known."""
    again = Transaction()
    for place in range(7):
        again.add(thing_of(place), body(place), salt(place))

    assert again.is_proved_by(Proved.read("registration", SEVEN[2]))
    assert [again.proved(place, thing_of(place), body(place)) for place in range(7)] == SEVEN


@pytest.mark.parametrize("numbers", [range(8), range(6), [0, 1, 2, 3, 4, 6, 5]], ids=["more", "fewer", "another order"])
def test_a_tree_of_other_statements_is_not_proved(numbers: Sequence[int]) -> None:
    """A statement more, one less, or another order makes another root."""
    again = Transaction()
    for place, number in enumerate(numbers):
        again.add(thing_of(place), body(number), salt(number))

    assert not again.is_proved_by(Proved.read("registration", SEVEN[2]))


def hidden(numbers: Sequence[int], secret: bytes = b"secret") -> list[Proved]:
    """Return the proofs of a transaction that hides how many statements it has."""
    whole = Transaction()
    for number in numbers:
        whole.add("delivery", body(number), salt(number))
    whole.hide(secret)
    whole.sign(KEY)
    raws = [whole.proved(at, "delivery", body(number)) for at, number in enumerate(numbers)]
    assert [verified(raw, "delivery") for raw in raws] == [body(number) for number in numbers]
    return [Proved.read("delivery", raw) for raw in raws]


@pytest.mark.parametrize(("count", "size"), [(1, 16), (2, 16), (16, 16), (17, 32), (32, 32), (33, 64), (700, 1024)])
def test_a_proof_does_not_show_how_many_were_told(count: int, size: int) -> None:
    """Every tree is full, and has sixteen leaves at least."""
    assert LEAVES == 16
    assert {(each.size, len(each.path)) for each in hidden(range(count))} == {(size, size.bit_length() - 1)}


def test_a_place_shows_nothing_of_the_order() -> None:
    """The leaves stand in the order of their hashes, the filling among them; another secret moves them."""
    proofs = hidden(range(8))
    leaves = sorted(
        (each.place, sha256(b"\0" + each.salt + dsse.pae(transaction.TYPES["delivery"], each.body)).digest())
        for each in proofs
    )

    assert [leaf for _, leaf in leaves] == sorted(leaf for _, leaf in leaves)
    assert [each.place for each in proofs] != [each.place for each in hidden(range(8), b"another")]
    assert [each.place for each in hidden([5, 2, 7])] == [each.place for each in hidden([7, 2, 5])][::-1]


def test_a_neighbour_cannot_be_found_by_trying() -> None:
    """Who gets a statement gets hashes of its neighbours: without their salts, knowing every word of them is no help."""
    (mine, other) = signed(2)
    sibling = mine[HEAD : HEAD + 32]

    assert sibling == leaf_of(1)
    guessed = dsse.pae(transaction.TYPES["delivery"], body(1))
    assert sibling not in {merkle.leaf_hash(guessed), merkle.leaf_hash(salt(0) + guessed)}
    assert other[SALT : SALT + SALT_BYTES] != mine[SALT : SALT + SALT_BYTES]


def test_salts_follow_from_a_secret() -> None:
    """The registrar finds the same salts again when it reads the history; each is another."""
    first, again = (list(islice(salts(b"secret"), 5)) for _ in range(2))

    assert first == again
    assert len(set(first)) == 5
    assert {len(each) for each in first} == {SALT_BYTES}
    assert not set(first) & set(islice(salts(b"another"), 5))
    assert first[2] == sha256(b"nrmbus/salt/v1\0secret" + (2).to_bytes(4)).digest()[:16]


@given(st.integers(1, 300), st.data())
def test_paths_are_those_of_rfc_9162(size: int, data: st.DataObject) -> None:
    """The tree by levels gives the roots, proofs and lengths of the recursive definition."""
    place = data.draw(st.integers(0, size - 1))
    leaves = [merkle.leaf_hash(number.to_bytes(2)) for number in range(size)]
    levels = merkle.levels(leaves)

    def reader(level: int, at: int) -> bytes:
        return merkle.perfect(leaves[at << level : (at + 1) << level])

    assert levels[-1] == [merkle.root(size, reader)]
    assert merkle.path(place, levels) == merkle.inclusion_proof(place, size, reader)
    assert merkle.path_length(place, size) == len(merkle.path(place, levels)) <= PATH_LIMIT


@given(st.binary(max_size=400) | st.integers(0, HEAD + 96).map(lambda cut: SEVEN[2][:cut]))
def test_random_bytes_are_refused(raw: bytes) -> None:
    """Bytes that nobody signed never get further than a refusal."""
    refused("signature_profile signature_invalid key_not_current", lambda: verified(raw))
