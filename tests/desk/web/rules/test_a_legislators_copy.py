"""A legislator changes nine things in a copy of the profile: refusals, clocks, pages, papers and documents follow without another edit."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final, get_args

import pytest

from agencies import AGENCIES, CASE, NOW, SIGNAL, Town
from auditor.played import first_scenario
from auditor.web.given import Hall
from copies import MIGRATION_DECIDES, NAME, RECOVERY_OF_45_DAYS, REFER_IN_36_HOURS, Change, copied, copy, known_here
from desk.given import desk_of
from desk.web.browsing import browsing, member
from desk.web.cases.given import COPY, PAPER, came, referred
from desk.web.notices.test_notices import OVERDUE, mailing
from intake.public_page import here as public_page
from nrmbus.auditor.reports.what_if import differences
from nrmbus.cli.operate.rule_documents import documents
from nrmbus.desk.intake import facts
from nrmbus.desk.web.notices.dispatcher import GATHERED
from nrmbus.events.codes import Role
from nrmbus.rules import Agency, Profile, Rules, add_profiles, load_profile, read_profile
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words
from rules.given import Bench

LAW: Final = "XX Act 9/2027 art. 12"
SENTENCE: Final = (
    "The person said no to the deciding body ({decider}), and has {D-REFER} to think; write so in `withhold_from`."
)
CHANGES: Final[tuple[Change, ...]] = (
    REFER_IN_36_HOURS,  # a deadline
    ('CoM 21/2008 art. 7 [S2]; RULES.md#d-refer [u]"', f'{LAW}; RULES.md#d-refer [u]"'),  # its article
    MIGRATION_DECIDES,  # who decides
    ('basis: "CoM 21/2008 art. 7 [S2]; RULES.md#referral.submitted [S36]"', 'basis: "XX Act 9/2027 art. 3; RULES.md#referral.submitted [S36]"'),
    (
        "service.requested], at: R}], length: {by_urgency: {emergency: {hours: 24}",
        "service.requested], at: R}], length: {by_urgency: {emergency: {hours: 48}",
    ),
    *RECOVERY_OF_45_DAYS,
    (  # a rule's article and text
        'G-34: {code: withhold_required, basis: "RULES.md#g-34 [S46]", says: "The person has refused the deciding body ({decider}); say so in `withhold_from`."}',
        f'G-34: {{code: withhold_required, basis: "{LAW}; RULES.md#g-34 [S46]", says: "{SENTENCE}"}}',
    ),
    # a recipient: the supervisor of the shelter hears that nobody came
    ("shelter.bed_refused:         {by: [SHELTERS], sees: [asker]", "shelter.bed_refused:         {by: [SHELTERS], sees: [asker, holder]"),
    # another role may publish a type
    ("incident.opened:             {by: [DETECTORS]", "incident.opened:             {by: [DETECTORS, fund]"),
    ("  monthly: 3 ", "  monthly: 1 "),  # a threshold
    ("k: 11 ", "k: 20 "),
    ("G-45: {code: new_evidence_required", "G-45: {code: reconsideration_needs_ground"),  # a code of its own
    ('  G-60: {code: status_required, basis: "RULES.md#g-60 [S25] [D]", says: "The one-time allowance rests on an effective recognition as a victim; wait for it."}\n', ""),
    ('value: "700.00", currency: AZN', 'value: "850.00", currency: AZN'),
    ("  follow_up_months: [3, 6, 12] ", "  follow_up_months: [1, 18] "),
    ("roles:\n  DECIDERS", 'laws: {"XX Act 9/2027": "On the referral of victims"}\nroles:\n  DECIDERS'),
)  # fmt: skip
TEXT: Final = copied(*CHANGES)
DRAFT: Final = copy(*CHANGES)
BEFORE: Final = load_profile(PROFILE)
MIGRATION: Final = {"az": "miqrasiya", "en": "migration service", "ru": "миграционная служба"}
UNIT: Final = {"az": "xüsusi", "en": "special", "ru": "специальн"}
HOURS: Final = {"az": "36 saat", "en": "36 hours", "ru": "36 часов"}


def ruled(profile: Profile) -> Bench:
    """Return a case that ngo-a has begun, under *profile*."""
    bench = Bench(profile)
    bench.say("ngo-a", "case.signal_recorded")
    return bench


# -- refusals and clocks


def test_refusals_follow() -> None:
    """Rule, article and sentence are those of the copy; what is removed refuses nobody; another role may speak, and another is told."""
    for profile, law, words in (
        (BEFORE, "RULES.md#g-34 [S46]", "special unit"),
        (DRAFT, f"{LAW}; RULES.md#g-34 [S46]", "36 hours"),
    ):
        bench = ruled(profile)
        (body,) = [each for each, agency in AGENCIES.items() if agency.role in profile.deciders][:1]
        bench.say("ngo-a", "consent.refused", receivers=[body])
        consent = bench.consents("vac")
        refusal = bench.ask("ngo-a", "referral.submitted", ref="R-1", to=["vac"], services=["legal"], consent=consent)
        assert refusal
        assert (refusal.code, refusal.rule, refusal.article) == ("withhold_required", "G-34", law)
        assert words in refusal.sentence

    for profile, refused, stopped, told, emergencies in (
        (BEFORE, "G-01", True, {"ngo-a"}, 3),
        (DRAFT, None, False, {"ngo-a", "ngo-l"}, 1),
    ):
        group = Bench(profile, case="group")
        refusal = group.ask("fund", "incident.opened")
        assert (refusal.rule if refusal else None) == refused
        assert ("G-60" in refusals_of_an_order(profile)) is stopped
        assert told_of_no_bed(profile) == told
        assert Rules(profile, {}).most_emergencies == emergencies


def refusals_of_an_order(profile: Profile) -> set[str]:
    """Return the rules that refuse an order of the allowance for somebody whom nobody has recognised."""
    bench = ruled(profile)
    bench.consents("fund")
    return {each.rule for each in bench.rules.refusals(bench.view, bench.event("fund", "payment.ordered"), bench.now)}


def told_of_no_bed(profile: Profile) -> set[str]:
    """Return the recipients of a house's refusal: one NGO asked for the bed, and another one has taken the case over."""
    bench = ruled(profile)
    consent = bench.consents("ngo-shelter", "ngo-l")
    bench.say("ngo-a", "shelter.bed_requested", ref="B-1", to=["ngo-shelter"], urgency="urgent", consent=consent[:1])
    bench.say("ngo-a", "referral.submitted", ref="R-1", to=["ngo-l"], mode="transfer", consent=consent[1:])
    bench.say("ngo-l", "referral.accepted", ref="R-1")
    return set(bench.say("ngo-shelter", "shelter.bed_refused", ref="B-1", reason="no_capacity").audience.recipients)


def test_clocks_and_breaches_follow() -> None:
    """The duty ends after 36 hours, and the timekeeper publishes the breach then and not before."""
    assert ruled(BEFORE).through("d3 9:00")[0].startswith("D-REFER 3 Mar 9:00")
    assert ruled(DRAFT).through("d3 9:00")[0].startswith("D-REFER 3 Mar 21:00")
    (clock,) = ruled(DRAFT).rules.clocks(ruled(DRAFT).view)
    assert clock.due == NOW + timedelta(hours=36)


# -- the desk


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The copy is known here, as after ``nrmbus rules add``, and in force: the registrar judges by it."""
    with known_here():
        add_profiles([TEXT])
        monkeypatch.setattr("desk.given.town", lambda: Town(policy=NAME))
        yield


@pytest.mark.thorough
@pytest.mark.parametrize("language", LANGUAGES)
async def test_forms_guide_and_rules_of_the_desk_follow(tmp_path: Path, language: Language) -> None:
    """The guide, the steps of a case and the pages of the Rules name the new body and times, and nowhere the old ones."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(language=language)) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        start = await browser.post("/app/signals/new")
        names = ("", "/D-REFER", "/G-34", "/identification.status_decided")
        rules = {name: (await browser.get(f"/app/rules{name}?lang={language}")).text for name in names}
        others = [
            (await browser.get(path)).text
            for path in (str(start.headers["location"]), "/app/work", f"/app/cases/{CASE}")
        ]

    assert HOURS[language] in rules["/D-REFER"]
    assert "XX Act 9/2027" in rules["/D-REFER"]
    assert "36" in rules["/G-34"]
    assert MIGRATION[language] in rules[""].casefold()
    known = (
        Words(language, DRAFT.zone).agency_role("special_unit").casefold()
    )  # a detector like others, in lists of roles
    for page in (*rules.values(), *others):
        assert UNIT[language] not in page.partition("<main")[2].casefold().replace(known, "")


async def test_the_steps_of_a_case_follow(tmp_path: Path) -> None:
    """A program is told what its role may publish by the copy, in words that name no body of the old profile."""

    async def steps(agency: str, home: Path) -> dict[str, str]:
        async with desk_of(agency, home) as here:
            await came(here, "case.signal_recorded", SIGNAL)
            told = (await here.door.get("/v1/steps", params={"case": CASE})).json()
        return {each["type"]: each["summary"] for each in told["steps"]}

    new, old = await steps("migration", tmp_path / "new"), await steps("special-unit", tmp_path / "old")

    assert new["identification.stage_entered"].startswith("The deciding body (migration) begins a stage")
    assert "identification.stage_entered" not in old
    assert not [each for each in (*new.values(), *old.values()) if "special unit" in each]


@pytest.mark.thorough
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_persons_copy_follows(tmp_path: Path, language: Language) -> None:
    """A child's paper names the law of the copy where it says on which ground an agency was told."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await referred(here)
        await came(here, "safeguard.child_flagged", {"to": ["guardianship"], "basis": "document"})
        paper = (await here.during(browser.post(PAPER, data={**COPY, "language": language, "says": "all"}))).text

    assert "XX Act 9/2027 art. 3" in paper
    assert "CoM 21/2008" not in paper
    assert UNIT[language] not in paper.partition("<main")[2].casefold()


async def test_notices_follow(tmp_path: Path) -> None:
    """A mail that something is overdue goes out by the time of the copy."""
    async with mailing(tmp_path) as found:
        await found.member("anna")
        await found.referred()
        await found.pass_by(timedelta(hours=25))
        await found.pass_by(GATHERED)
        early = str(found.said())
        await found.pass_by(timedelta(hours=24))
        await found.pass_by(GATHERED)
        late = str(found.said())

    assert OVERDUE not in early
    assert OVERDUE in late


# -- auditor, public page, documents, what-if


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_auditors_page_of_the_rules_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: Language
) -> None:
    """The whole book and each row that was changed, in the reader's language."""
    hall = Hall(tmp_path, monkeypatch)
    monkeypatch.setattr(hall.seen, "_policy", NAME)
    monkeypatch.setattr(hall.site, "_profile", DRAFT)
    async with hall.browser() as browser:
        pages = {
            name: (await browser.get(f"/rules{name}?lang={language}")).text
            for name in ("", "/D-REFER", "/G-34", "/G-60", "/incident.opened")
        }

    assert HOURS[language] in pages["/D-REFER"]
    assert "XX Act 9/2027" in pages["/G-34"]
    assert MIGRATION[language] in pages[""].casefold()
    assert Words(language, DRAFT.zone).agency_role("fund") in pages["/incident.opened"]
    assert "G-60" not in pages[""]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_public_page_follows(tmp_path: Path, language: Language) -> None:
    """Once the desk has told it: the body, the time to think, and the sum; and again when the profile changes, without a restart."""
    told = ""
    with public_page(tmp_path) as page:
        for profile, days, money, body in ((BEFORE, "30", "700", UNIT), (DRAFT, "45", "850", MIGRATION)):
            page.store.state(facts(profile))
            told = "".join(
                [(await page.get(f"/{language}/{name}")).text for name in ("help", "rights", "about")]
            ).casefold()
            assert all(each in told for each in (f"{days} ", f"{money} azn", body[language]))
    assert UNIT[language] not in told
    assert "700" not in told


def test_documents_follow() -> None:
    """Tables, diagram and procedures have every change, and what was before stands in none of them."""
    before, after = documents(BEFORE), documents(DRAFT)

    for new in (
        LAW,
        "On the referral of victims",
        "36 hours",
        "45 calendar days",
        "850.00 AZN",
        "1, 18 months",
        "reconsideration_needs_ground",
        "`DETECTORS`, `fund`",
    ):
        assert new in after["rules.md"], new
        assert new not in before["rules.md"], new
    before, after = ({name: text.partition("## Laws")[0] for name, text in each.items()} for each in (before, after))
    for old in ("700.00 AZN", 'id="g-60"', "| 11 |", "special unit"):
        assert old in before["rules.md"], old
        assert old not in after["rules.md"], old
    assert "referred; time to refer: 36 hours (XX Act 9/2027 art. 12, [S34, S36])" in after["procedures.md"]
    assert "refuses the deciding body (migration)" in after["procedures.md"]
    assert "special unit" not in after["procedures.md"]
    moved = read_profile(
        TEXT.replace(
            "when: negative, from: [PRESUMED], to: NOT_IDENTIFIED",
            "when: negative, from: [PRESUMED], to: SUPPORT_NO_STATUS",
        )
    )
    assert "PRESUMED --> SUPPORT_NO_STATUS : T14" in documents(moved)["statuses.mmd"]
    assert NAME in after["rules.md"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_role_that_may_decide_has_its_name(language: Language) -> None:
    """A legislator may let any role decide: each has a name in the reader's language."""
    words = Words(language, **facts_of(DRAFT))

    for role in get_args(Role):
        assert words.meaning("role", role), role


def test_what_if_follows() -> None:
    """The history under the old profile, judged by the copy: the clock is another, and the old body's acts are refused."""
    seen = first_scenario().audited()
    agencies = {name: Agency(name, each.role, each.supervisor) for name, each in seen.directory.entries.items()}
    now = seen.history.entries[-1].registration.time
    found = {
        (each.kind, each.rule) for each in differences(seen.history.entries, seen.rules, Rules(DRAFT, agencies), now)
    }

    assert {("clock_moved", "D-REFER"), ("refused", "G-01")} <= found
