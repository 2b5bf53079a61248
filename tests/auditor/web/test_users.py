"""Permission to sign in, and its length: the file of users, sessions and attempts."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest

from auditor.web.given import LATER
from nrmbus.auditor.web.access_log import OnRecord, Question
from nrmbus.auditor.web.apps import Apps
from nrmbus.auditor.web.sessions import (
    FAILURES,
    FAILURES_OF_ALL,
    IDLE_SECONDS,
    LONGEST_SECONDS,
    REPEAT_SECONDS,
    WITHIN_SECONDS,
    Attempts,
    Sessions,
)
from nrmbus.auditor.web.users import Users
from nrmbus.bus.errors import BusError
from nrmbus.directory import Identity
from nrmbus.wire.names import AUDITOR

PASSWORD = "a long example password"


class Moved:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time now."""
        return self.now


def test_a_password_is_kept_as_a_dear_hash_that_only_the_owner_can_read(tmp_path: Path) -> None:
    """No guess is cheaper than 32 MiB and 2^15 rounds of scrypt; the word itself is nowhere."""
    users = Users(tmp_path)
    actor = users.add("leyla", PASSWORD)
    raw = (tmp_path / "users.json").read_text()
    user = json.loads(raw)["users"]["leyla"]

    assert stat.S_IMODE((tmp_path / "users.json").stat().st_mode) == 0o600
    assert PASSWORD not in raw
    assert (user["n"] >= 2**15, user["r"], user["p"]) == (True, 8, 1)
    assert users.signed_in("leyla", PASSWORD) == actor
    assert users.signed_in("leyla", PASSWORD + " ") is None
    assert users.signed_in("nobody", PASSWORD) is None


def test_an_account_of_the_machine_has_a_number_of_its_own(tmp_path: Path) -> None:
    """Made when it first asks and kept; never a user's, and nobody signs in with it."""
    users = Users(tmp_path)
    number = users.account("leyla")
    actor, questions = users.add("leyla", PASSWORD), users.own_number()

    assert number != actor
    assert (users.account("leyla"), users.own_number()) == (number, questions)
    assert list(users.accounts()) == [("leyla", number)]
    assert (users.knows(number), users.knows(actor), users.knows("000000")) == (True, True, False)
    users.remove("leyla")
    assert (users.knows(number), users.knows(actor), users.password_of("leyla")) == (True, False, None)


def test_a_user_added_by_several_at_once_has_one_number(tmp_path: Path) -> None:
    """Commands side by side write one file: none undoes what another wrote."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: Users(tmp_path).account(f"account-{number % 4}"), range(32)))

    assert len(set(found)) == 4
    assert {actor for _, actor in Users(tmp_path).accounts()} == set(found)


def test_the_secret_of_an_app_lies_sealed_and_opens_for_its_user_alone(tmp_path: Path) -> None:
    """Who copies the file has no second factor; a sealed secret that is put under another name shows no right code there."""
    users, apps = Users(tmp_path), Apps(tmp_path)
    now, secret = LATER, pyotp.random_base32()
    for name in ("leyla", "samir"):
        users.add(name, PASSWORD)
        assert apps.set_up(name, users.password_of(name) or "", secret if name == "leyla" else pyotp.random_base32(), 0)
    code = pyotp.TOTP(secret).at(now)
    path = tmp_path / "users.json"
    body = json.loads(path.read_bytes())
    body["users"]["samir"]["app"] = body["users"]["leyla"]["app"]
    path.write_text(json.dumps(body))

    assert secret not in path.read_text()
    assert (apps.is_code("samir", code, now), apps.is_code("leyla", code, now)) == (False, True)
    assert not apps.is_code("leyla", code, now), "a code is taken once"


def test_an_app_outlives_the_key_that_its_secret_was_sealed_to(tmp_path: Path) -> None:
    """Sealing keys are replaced and destroyed: handed over before, the same app goes on; otherwise no code is right, and none is asked anew."""
    users, apps, secret = Users(tmp_path), Apps(tmp_path), pyotp.random_base32()
    old = Identity.at(tmp_path, AUDITOR)
    users.add("leyla", PASSWORD)
    apps.set_up("leyla", users.password_of("leyla") or "", secret, 0)
    old.succeeded(tmp_path)
    apps.hand_over()
    Identity.destroy(tmp_path, old.sealing.kid)

    assert apps.is_code("leyla", pyotp.TOTP(secret).at(LATER), LATER)
    new = Identity.at(tmp_path, AUDITOR)
    new.succeeded(tmp_path)
    Identity.destroy(tmp_path, new.sealing.kid)
    later = LATER + timedelta(minutes=5)
    assert not apps.is_code("leyla", pyotp.TOTP(secret).at(later), later)
    assert apps.has("leyla"), "a password alone sets up no other app"


def test_a_number_stays_with_a_user_for_good(tmp_path: Path) -> None:
    """Another password, a removal, a return: what stands in the history under it was said by the same person."""
    users = Users(tmp_path)
    actor, other = users.add("leyla", PASSWORD), users.add("samir", PASSWORD)
    assert actor != other
    assert users.add("leyla", PASSWORD + "!") == actor
    assert users.signed_in("leyla", PASSWORD) is None
    users.remove("leyla")
    assert users.signed_in("leyla", PASSWORD + "!") is None
    assert users.password_of("leyla") is None
    assert list(users.names()) == [("leyla", actor, False), ("samir", other, True)]
    assert users.add("leyla", PASSWORD) == actor


def test_the_number_for_questions_about_no_case_is_made_once(tmp_path: Path) -> None:
    """Of the form of a case's reference, and the same after a restart."""
    users = Users(tmp_path)
    own = users.own_number()
    assert len(bytes.fromhex(own)) == 16
    users.add("leyla", PASSWORD)
    assert Users(tmp_path).own_number() == own


@pytest.mark.parametrize("name", ["", "l", "Leyla", "1eyla", "leyla/../x", "a" * 32, "leyla\n"])
def test_a_name_has_a_form(tmp_path: Path, name: str) -> None:
    """So that it is a name on every page and in every file."""
    with pytest.raises(BusError, match="A name has"):
        Users(tmp_path).add(name, PASSWORD)


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_password_has_a_length(tmp_path: Path, password: str) -> None:
    """Nobody is let in by a short one."""
    with pytest.raises(BusError, match="12 to 256"):
        Users(tmp_path).add("leyla", password)
    assert list(Users(tmp_path).names()) == []


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    """Nobody is locked out without a word."""
    (tmp_path / "users.json").write_text("[")
    with pytest.raises(
        BusError, match="cannot be read: move it away, then restore it with nrmbus restore DIR --part users"
    ):
        Users(tmp_path).password_of("leyla")


def test_a_session_ends_when_it_is_not_used_and_after_a_day_of_work() -> None:
    """A quarter of an hour without a question, or eight hours; nobody else's token opens it."""
    clock = Moved()
    sessions = Sessions(clock)
    token = sessions.begin("leyla", "1", "salt", "audit")
    assert sessions.find(token + "x") is None
    for _ in range(LONGEST_SECONDS // IDLE_SECONDS):
        clock.now += IDLE_SECONDS - 1
        session = sessions.find(token)
        assert session
        longest = LONGEST_SECONDS - (clock.now - session.began)
        assert sessions.seconds_left(session) == min(IDLE_SECONDS, longest), "the day of work ends it too"
    clock.now += IDLE_SECONDS - 1
    assert sessions.find(token) is None

    token = sessions.begin("leyla", "1", "salt", "audit")
    clock.now += 100
    session = sessions.find(token, by_itself=True)
    assert session
    assert sessions.seconds_left(session) == IDLE_SECONDS - 100, "a script that looks at it does not use it"
    clock.now += IDLE_SECONDS + 1
    assert sessions.find(token) is None
    clock.now -= IDLE_SECONDS
    assert sessions.find(token) is None, "what has ended does not come back"


def test_a_question_is_the_same_for_a_quarter_of_an_hour() -> None:
    """Then the question is recorded again."""
    clock = Moved()
    sessions = Sessions(clock)
    session = sessions.find(sessions.begin("leyla", "1", "salt", "audit"))
    assert session
    question = Question("1", "audit", "case", "0" * 32)
    record = OnRecord(question, "id", 0, 1, LATER)
    session.asked(record, "", clock())
    assert session.on_record(question, "", clock.now + REPEAT_SECONDS) == record
    assert session.on_record(question, "other words", clock.now) is None
    assert session.on_record(Question("1", "court", "case", "0" * 32), "", clock.now) is None
    assert session.on_record(question, "", clock.now + REPEAT_SECONDS + 1) is None


def test_failures_close_a_name_and_then_everybody_out_for_a_while() -> None:
    """Five of a name, fifty of all, within a quarter of an hour."""
    clock = Moved()
    attempts = Attempts(clock)
    for _ in range(FAILURES):
        assert attempts.allows("leyla")
        attempts.failed("leyla")
    assert not attempts.allows("leyla")
    assert attempts.allows("samir")
    attempts.succeeded("leyla")
    assert attempts.allows("leyla")
    for number in range(FAILURES_OF_ALL):
        attempts.failed(f"name-{number}")
    assert not attempts.allows("samir")
    clock.now += WITHIN_SECONDS + 1
    assert attempts.allows("samir")
