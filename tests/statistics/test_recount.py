"""Figures counted again from an export: by `nrmbus recount`, and by a program that shares no code with it."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from agencies import BUS, NOW
from copies import MIGRATION_DECIDES, REFER_IN_36_HOURS, copied, known_here
from copies import NAME as OWN
from nrmbus.auditor.history.history import History
from nrmbus.bus.errors import BusError
from nrmbus.cli.audit import export
from nrmbus.events import bulletin
from nrmbus.events.figures import Release
from nrmbus.events.stats import packed
from nrmbus.rules import Profile, Rules, add_profiles
from nrmbus.statistics import exported as exported_module
from nrmbus.statistics.exported import NotThisHistory, exported
from nrmbus.statistics.history import Histories
from nrmbus.statistics.persons import Case
from nrmbus.statistics.recount import CODES, Recount
from nrmbus.statistics.release import compute
from nrmbus.statistics.spans import Span
from nrmbus.wire import json as canonical
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log.note import Ed25519Verifier, vkey
from recounted import differences
from registrar.given import Bus
from typed import run

Lines = list[dict[str, Any]]
REFERRAL: Final = {
    "to": ["vac"], "mode": "referral", "reason": "AdditionalServicesRequired", "urgency": "urgent", "services": ["legal"],
}  # fmt: skip
CONSENT: Final = {
    "purposes": ["services", "information_sharing"], "receivers": ["vac"], "given_by": "individual", "form": "written",
}  # fmt: skip
PERIOD: Final = Span(2026, 1)


class Published:
    """Forty referrals to the assistance centre, most accepted, some declined; the figures of their quarter, and the history."""

    def __init__(self, profile: Profile | None = None) -> None:
        """Register them, and count; under *profile* instead of the one of every test."""
        self.bus = Bus()
        if profile is not None:
            self.bus.rules = Rules(profile, self.bus.agencies)
        self.shard = shard = self.bus.shard()
        for number in range(40):
            case, ref, now = f"{number + 1:032x}", f"{number + 100:032x}", NOW + timedelta(hours=number)
            self.bus.signal(shard, case=case, now=now)
            self.bus.say(shard, "ngo-a", "consent.given", CONSENT, case=case, now=now)
            about: dict[str, Any] = {"case": case, "referral": ref}
            asked = self.bus.say(
                shard, "ngo-a", "referral.submitted", REFERRAL, now=now, legalbasis="CoM 123/2009", **about
            )
            assert asked.outcome == "registered", asked.code
            answer = (
                ("referral.declined", {"reason": "no_capacity", "declined_by": "provider"})
                if number < 12
                else ("referral.accepted", {"next_step": "plan"})
            )
            decision = self.bus.say(shard, "vac", *answer, now=now + timedelta(minutes=30 + number), **about)
            assert decision.outcome == "registered", decision.code
        self.release = self.computed()

    def computed(self, *earlier: Release) -> Release:
        """Return the figures that the statistics compute now."""
        histories = Histories(BUS, 1, lambda _: self.bus.key.verify_key)
        for record in self.bus.history:
            histories.take(record, 0)
        cases = [Case(subject, tuple(facts)) for subject, facts in histories.facts.items()]
        return compute(
            self.bus.rules, cases, PERIOD, bus=BUS, by="statistics", checkpoints=histories.checkpoints, earlier=earlier
        )

    def history(self, release: Release | None = None) -> bytes:
        """Return the exported history that *release* counts."""
        records = ((0, record) for record in self.bus.history)
        return b"".join(
            exported(release or self.release, self.bus.directory.signed, records, made="2027-01-02T00:00:00Z")
        )

    @property
    def operator(self) -> VerifyKey:
        """Return the key that signs the directory."""
        return VerifyKey(self.bus.operator.public)


@pytest.fixture(scope="module")
def published() -> Published:
    """Return one history for all tests, which none of them changes."""
    return Published()


def forged(release: Release, change: Callable[[dict[str, Any]], object]) -> Release:
    """Return *release* after *change*."""
    body = json.loads(release.to_json())
    change(body)
    return Release.from_mapping(body)


def row(release: dict[str, Any], table: str, *keys: str) -> dict[str, Any]:
    """Return a row of a release."""
    rows = next(each["rows"] for each in release["tables"] if each["id"] == table)
    return next(each for each in rows if each["keys"] == list(keys))


def rewritten(raw: bytes, change: Callable[[Lines], object]) -> bytes:
    """Return a history after *change*, with a trailer that fits."""
    lines = [json.loads(line) for line in raw.splitlines()][:-1]
    change(lines)
    return sealed(lines)


def sealed(lines: Lines) -> bytes:
    """Return *lines* with their trailer."""
    body = b"".join(canonical.dumps(line) + b"\n" for line in lines)
    trailer = {"kind": "trailer", "lines": len(lines), "sha256": canonical.digest(body)}
    return body + canonical.dumps(trailer) + b"\n"


def registrations(lines: Lines) -> Lines:
    """Return the lines of registrations."""
    return [line for line in lines if line["kind"] == "registration"]


@pytest.mark.thorough
def test_true_figures_are_recounted_by_both(published: Published) -> None:
    """With the operator's key the figures are anchored, without it they are those of the file; tables of persons are named."""
    raw = published.history()
    done = Recount(published.release, raw.splitlines(keepends=True), published.operator)

    assert done.verdict[0] == 0, done.failures
    assert Recount(published.release, raw.splitlines(keepends=True)).verdict[0] == 3
    opened = {line.about for line in done.lines if line.result == "open"}
    assert {"identified_by_sex", "signalled_by_detector"} <= opened
    assert not opened & {"answers_by_role", "clocks_by_rule", "minutes_to_answer_by_sender"}
    assert published.release.table("answers_by_role").cell("vac", "_T") == 40
    assert differences(raw, json.loads(published.release.to_json())) == []


def test_exported_history_has_no_letter_and_no_later_registration(published: Published) -> None:
    """It ends with the checkpoint of the release, and the sealed parts of letters are not in it."""
    earlier = forged(published.release, lambda release: cut(release, published, 80))
    lines = [json.loads(line) for line in published.history(earlier).splitlines()]

    assert [line["leaf"]["number"] for line in registrations(lines)] == list(range(1, 81))
    assert all("nrm_letter" not in line.get("envelope", {}).get("headers", {}) for line in lines)
    assert [line for line in registrations(lines) if "signature" in line] == registrations(lines)[-1:]


def cut(release: dict[str, Any], published: Published, size: int) -> None:
    """Let *release* count the first *size* registrations alone."""
    lines = registrations([json.loads(line) for line in published.history().splitlines()])
    head = canonical.digest(canonical.dumps(lines[size - 1]["leaf"]))
    release["checkpoints"] = [{"partition": 0, "size": size, "head": head}]


FORGERIES: Final[list[tuple[Callable[[dict[str, Any]], object], str]]] = [
    (lambda r: row(r, "answers_by_role", "vac", "_T").update(count=41), "count_differs"),
    (lambda r: row(r, "referrals_by_role", "_T").update(count=400), "count_differs"),
    (lambda r: row(r, "answers_by_role", "vac", "_T").pop("count"), "count_withheld"),
    (lambda r: row(r, "answers_by_role", "vac", "expired").update(count=0), "count_exposed"),
    (lambda r: row(r, "answers_by_role", "vac", "_T").update(before=30), "before_differs"),
    (lambda r: row(r, "minutes_to_answer_by_role", "_T").update(count=5), "count_exposed"),
    (lambda r: r.update(tables=[each for each in r["tables"] if each["id"] != "clocks_by_role"]), "table_missing"),
    (lambda r: r["tables"][-1].update(id="answers_by_moon"), "table_unknown"),
    (lambda r: r["tables"][-3]["rows"].pop(), "rows_differ"),
    (lambda r: r.update(k=5), "threshold_differs"),
    (lambda r: r.update(profile="osce-generic@2022-01-01"), "profile_differs"),
    (lambda r: r.update(profile="xx@2022-01-01"), "profile_unknown"),
    (lambda r: r.update(previous="4" * 64), "releases_differ"),
    (lambda r: r.update(bus="0" * 16), "bus_differs"),
    (lambda r: r["checkpoints"][0].update(head="4" * 64), "checkpoint_differs"),
    (lambda r: r["checkpoints"][0].update(size=999), "registration_missing"),
    (lambda r: r["checkpoints"][0].update(size=0, head="0" * 64), "history_uncounted"),
    (lambda r: r["checkpoints"][0].update(partition=3), "registration_foreign"),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("change", "code"), FORGERIES, ids=[f"{n} {code}" for n, (_, code) in enumerate(FORGERIES)])
def test_forged_release_is_found(published: Published, change: Callable[[dict[str, Any]], object], code: str) -> None:
    """Each change of a release has its own code."""
    raw = published.history()
    done = Recount(forged(published.release, change), raw.splitlines(keepends=True), published.operator)

    assert code in {line.result for line in done.failures}
    assert done.verdict[0] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda r: row(r, "answers_by_role", "vac", "_T").update(count=41),
        lambda r: row(r, "minutes_to_answer_by_role", "_T").update(count=5),
        lambda r: row(r, "declined_by_reason", "vac", "other").update(count=0),
        lambda r: r["checkpoints"][0].update(head="4" * 64),
    ],
    ids=["a count", "a median", "a small count", "a checkpoint"],
)
def test_forged_release_is_found_by_another_program(
    published: Published, change: Callable[[dict[str, Any]], object]
) -> None:
    """A forged release is found with the exported file and without this software."""
    assert differences(published.history(), json.loads(forged(published.release, change).to_json())) != []


def move(lines: Lines) -> None:
    """Move the first registration behind the second."""
    at = lines.index(registrations(lines)[0])
    lines.insert(at + 1, lines.pop(at))


ALTERATIONS: Final[list[tuple[Callable[[Lines], object], str]]] = [
        (lambda lines: lines[0]["counts"].update(registration=5), "lines_missing"),
        (lambda lines: lines.remove(registrations(lines)[3]), "registration_missing"),
        (move, "registration_missing"),
        (lambda lines: lines.insert(9 + len(lines) // 2, lines[9 + len(lines) // 2]), "registration_duplicate"),
        (lambda lines: registrations(lines)[2]["leaf"].update(time="2026-03-01T00:00:00Z"), "chain_broken"),
        (lambda lines: registrations(lines)[-1]["leaf"].update(time="2026-03-01T00:00:00Z"), "checkpoint_differs"),
        (lambda lines: registrations(lines)[2]["leaf"].update(number="3"), "registration_malformed"),
        (lambda lines: registrations(lines)[2]["leaf"].update(bus="0" * 16), "registration_foreign"),
        (lambda lines: registrations(lines)[2]["audience"].update(recipients=[]), "audience_altered"),
        (lambda lines: registrations(lines)[2].pop("audience"), "audience_missing"),
        (lambda lines: registrations(lines)[2].pop("envelope"), "envelope_missing"),
        (lambda lines: registrations(lines)[2]["envelope"].update(value="{}"), "envelope_altered"),
        (lambda lines: registrations(lines)[2]["envelope"]["headers"].pop("ce_id"), "envelope_unreadable"),
        (lambda lines: registrations(lines)[-1].pop("signature"), "registrar_signature_missing"),
        (lambda lines: registrations(lines)[-1]["signature"].update(place=1, size=2, path=["A" * 43 + "="]), "registrar_signature_invalid"),
        (lambda lines: lines.insert(4, lines.pop(2)), "directory_malformed"),
        (lambda lines: lines[3]["entry"].update(payload="e30="), "operator_signature_invalid"),
        (lambda lines: lines[0].update(format="nrmbus-history/9"), "header_malformed"),
        (lambda lines: lines.append(lines[0]), "line_misplaced"),
    ]  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("change", "code"), ALTERATIONS, ids=[f"{n} {code}" for n, (_, code) in enumerate(ALTERATIONS)]
)
def test_altered_history_is_found(published: Published, change: Callable[[Lines], object], code: str) -> None:
    """Each alteration has its own code, though the trailer fits."""

    def changed(lines: Lines) -> None:
        change(lines)
        if code != "lines_missing":
            counts = {kind: sum(line["kind"] == kind for line in lines) for kind in ("directory", "registration")}
            lines[0]["counts"] = counts

    raw = rewritten(published.history(), changed)
    done = Recount(published.release, raw.splitlines(keepends=True), published.operator)

    assert [line.result for line in done.failures] == [code]
    assert all(line.about for line in done.failures)


@pytest.mark.thorough
def test_figures_of_a_profile_of_one_s_own_are_counted_with_its_file(tmp_path: Path) -> None:
    """Given a bus with its own profile, then a recount needs this very file; another profile of the name is refused."""
    with known_here():
        there = Published(add_profiles([copied(REFER_IN_36_HOURS)])[0])
        raw = there.history()
    lines = raw.splitlines(keepends=True)
    (failure,) = Recount(there.release, lines, there.operator).failures
    assert (failure.result, failure.about) == ("profile_unknown", OWN)
    with known_here():
        add_profiles([copied(MIGRATION_DECIDES)])
        assert [each.result for each in Recount(there.release, lines, there.operator).failures] == ["profile_unknown"]

    release, history, profile = (tmp_path / each for each in ("2026.json", "history.jsonl", "own.yaml"))
    release.write_bytes(there.release.to_json())
    history.write_bytes(raw)
    profile.write_text(copied(REFER_IN_36_HOURS), encoding="utf-8")
    key = vkey(Ed25519Verifier(f"nrmbus/{BUS}/operator", there.operator.public))
    asked = ("recount", release, "--history", history, "--operator", key)

    assert "profile_unknown" in run(*asked).stdout
    with known_here():
        done = run(*asked, "--profile", profile)
    assert (done.returncode, done.stdout.splitlines()[-1].partition(":")[0]) == (0, "recounted")


def damaged(raw: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield files that a transport has damaged, with the code of each."""
    yield b"", "history_unreadable"
    yield raw[: len(raw) // 2], "line_malformed"
    yield b"".join(raw.splitlines(keepends=True)[:-1]), "file_cut"
    yield raw.replace(b'"made":"2027', b'"made":"2028'), "digest_differs"
    yield raw.replace(b'{"audience"', b'{ "audience"', 1), "line_malformed"


def test_damaged_file_is_found(published: Published) -> None:
    """A file that is cut or changed on the way is not counted."""
    for raw, code in damaged(published.history()):
        done = Recount(published.release, raw.splitlines(keepends=True), published.operator)
        assert [line.result for line in done.failures] == [code]


def test_directory_of_another_operator_vouches_for_nothing(published: Published) -> None:
    """The roles of the agencies decide the tables, so the directory must be the operator's."""
    stranger = SigningKey(bytes(32)).verify_key
    done = Recount(published.release, published.history().splitlines(keepends=True), stranger)

    assert [line.result for line in done.failures] == ["operator_signature_invalid"]


def test_history_of_another_release_is_not_exported(published: Published) -> None:
    """A release of figures that does not count this history gives no file."""
    other = forged(published.release, lambda release: release["checkpoints"][0].update(head="4" * 64))

    with pytest.raises(NotThisHistory):
        published.history(other)
    with pytest.raises(NotThisHistory):
        published.history(forged(published.release, lambda release: release["checkpoints"][0].update(size=999)))


@pytest.mark.thorough
def test_later_release_is_recounted_beside_the_earlier_ones() -> None:
    """The releases that it must name, and be protected beside, are in the history too."""
    here = Published()
    first = here.release
    said = {"period": first.period, "k": first.k, "release": first.digest, "figures": packed(first.to_json())}
    about: dict[str, Any] = {"case": bulletin.of("statistics"), "now": NOW + timedelta(days=400), "approver": "S-2"}
    decision = here.bus.say(here.shard, "statistics", "stats.period_published", said, **about)
    assert decision.outcome == "registered", decision.code
    twice = here.bus.say(here.shard, "statistics", "stats.period_published", said, **about)
    assert twice.outcome == "refused", "whoever was interrupted, and publishes the same once more, publishes it once"
    again = here.computed(first)

    assert again.previous == first.digest
    done = Recount(again, here.history(again).splitlines(keepends=True), here.operator)
    assert done.verdict[0] == 0, done.failures
    assert Recount(first, here.history().splitlines(keepends=True), here.operator).verdict[0] == 0


@pytest.mark.thorough
def test_command_prints_a_line_for_each_check(published: Published, tmp_path: Path) -> None:
    """No bus is needed: two files and a key that came from the operator."""
    figures, history = tmp_path / "q1.json", tmp_path / "q1.history.jsonl"
    figures.write_bytes(published.release.to_json())
    history.write_bytes(published.history())
    key = vkey(Ed25519Verifier(f"nrmbus/{BUS}/operator", published.operator.public))

    done = run("recount", figures, "--history", history, "--operator", key)
    assert (done.returncode, done.stdout.splitlines()[-1][:10]) == (0, "recounted:")
    assert "answers_by_role: " in done.stdout
    told = json.loads(run("recount", figures, "--history", history, "--json").stdout)
    assert told["status"] == 3
    figures.write_bytes(forged(published.release, FORGERIES[0][0]).to_json())
    done = run("recount", figures, "--history", history)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "FAILED: count_differs")
    assert run("recount", figures, "--history", tmp_path / "none").returncode == 1
    assert run("recount", figures, "--history", history, "--operator", "x").returncode == 2


def test_export_is_on_record_before_the_file_is_there(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: the command asks the auditor first; the file that it writes is for the owner alone, and verifies."""
    history, out = History(published.bus.directory), tmp_path / "history.jsonl"
    for record in published.bus.history:
        history.take(record, 0)
    seen = SimpleNamespace(history=history, directory=published.bus.directory)
    monkeypatch.setattr(export, "verified", lambda _: seen)
    monkeypatch.setattr(export, "operator_key", lambda _: SimpleNamespace(public=published.operator.public))
    folder = cast("Any", SimpleNamespace(settings=SimpleNamespace(bus=BUS), path=tmp_path))
    asked: list[tuple[str, bool]] = []
    question = cast("Any", SimpleNamespace(put=lambda what: asked.append((what, out.exists()))))

    export._history(folder, (tmp_path / "2027.json", published.release), out, question)

    assert asked == [("figures", False)]
    assert out.stat().st_mode & 0o077 == 0
    with out.open("rb") as lines:
        assert Recount(published.release, lines, published.operator).verdict[0] == 0
    other = forged(published.release, lambda r: r["checkpoints"][0].update(size=7))
    with pytest.raises(BusError, match="does not count this history"):
        export._history(folder, (tmp_path / "2027.json", other), out, question)


def test_every_code_is_explained() -> None:
    """A code has one sentence; the text in the file describes every kind of line."""
    assert all(each.endswith(".") for each in CODES.values())
    text = exported_module._README.read_text(encoding="utf-8")
    assert all(f"`{kind}`" in text for kind in exported_module.KINDS)
