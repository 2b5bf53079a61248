"""The guide: a worker who knows no rules comes from what was seen to a signal, consents and referrals that fit the Rules."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agencies import POLICY, ROLES, Town
from copies import NAME, SOCIAL_SERVICE_HOUSES, copied, known_here
from desk.given import CANARY, FakeRegistrar, Given, desk_of
from desk.web.acts.test_attacks import changed_elsewhere, hidden
from desk.web.acts.test_pages import filled, heading
from desk.web.browsing import browsing, gone, member
from nrmbus.desk.erasure import rounds
from nrmbus.desk.outbox import drafts
from nrmbus.desk.web.acts.guide_events import REFS
from nrmbus.directory.entry import Kind
from nrmbus.rules import add_profiles, load_profile
from nrmbus.wire import json

ADULT: dict[str, dict[str, Any]] = {
    "seen": {"guide.kind": "sexual", "guide.cd": ["CD-01", "CD-02"], "guide.asked": "yes", "guide.told_by": "told_by_person"},
    "person": {"guide.child": "no", "guide.age_band": "25-34", "guide.sex": "F", "guide.language": "Rus", "guide.interpreter": "yes", "guide.abroad": "no"},
    "danger": {"guide.urgency": "emergency"},
    "need": {"guide.services": ["safe_shelter", "legal"]},
    "help": {"guide.to": ["special-unit", "shelter", "vac", "ngo-l"]},
    "consent": {
        "guide.sharing": ["special-unit", "shelter", "ngo-l"], "guide.accepts": ["shelter", "ngo-l"], "guide.refuses_unit": "no",
        "guide.form": "written",
    },
    "letter": {"sealed.name": "Alina Example", "sealed.facts": CANARY},
}  # fmt: skip
CHILD: dict[str, dict[str, Any]] = {
    **{page: answers for page, answers in ADULT.items() if page != "consent"},
    "person": {"guide.child": "unclear", "guide.basis": "age_unclear", "guide.abroad": "no"},
    "help": {"guide.to": ["special-unit"]},
}


async def led(browser: httpx.AsyncClient, answers: dict[str, dict[str, Any]]) -> str:
    """Answer each page of the guide as it comes; return the address of the check page."""
    start = await browser.post("/app/signals/new")
    at = str(start.headers["location"])
    for page, said in answers.items():
        assert at.endswith(f"/{page}"), at
        at = str((await filled(browser, at, said)).headers["location"])
    assert at.endswith("/check")
    return at


async def sent(here: Given) -> list[tuple[str, dict[str, Any], str | None]]:
    """Return type, data and verdict of each event of the outbox."""
    return [(row.type, json.loads(row.clear, limit=100_000)["data"], row.verdict) for row in await here.rows("outbox")]


async def test_an_adult_is_referred_to_those_who_may_be_told(tmp_path: Path) -> None:
    """Given an adult's answers, then signal, consents by purpose and referrals are registered; who may not be told is left out."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, ADULT)
        page = await browser.get(check)
        assert page.status_code == 200
        assert "The Rules do not allow" not in page.text

        done = await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()
        again = await browser.post(check.replace("/check", "/send"))

        first, later = await browser.get(done.headers["location"]), await browser.get(done.headers["location"])
        assert heading(first) == heading(later) == "Registered"
        assert first.text.count("Consent given") == later.text.count("Consent given") == 3
        assert again.headers["location"] == done.headers["location"]
        events = await sent(here)
        assert {verdict for _, _, verdict in events} == {"registered"}
        assert [type for type, _, _ in events] == [
            "case.signal_recorded", "consent.given", "consent.given", "consent.given", "referral.submitted",
            "referral.submitted", "shelter.bed_requested",
        ]  # fmt: skip
        assert [data.get("to") for _, data, _ in events[4:]] == [["special-unit"], ["ngo-l"], ["shelter"]]
        assert [data["services"] for _, data, _ in events[4:6]] == [[], ["legal"]]
        assert len({row.subject for row in await here.rows("outbox")}) == 1


def under(policy: str = POLICY, **roles: str) -> FakeRegistrar:
    """Return the registrar of a bus with further *roles* where *policy* is in force, and the special unit has the role that decides there."""
    (decider,) = load_profile(policy).deciders
    return FakeRegistrar(Town(roles={**ROLES, "special-unit": decider, **roles}, policy=policy))


@pytest.mark.parametrize("answers", [ADULT, CHILD], ids=["adult", "child"])
@pytest.mark.parametrize("policy", ["md@2014-03-28", "osce-generic@2022-01-01"])
async def test_a_person_names_the_legal_basis_where_the_profile_names_no_law(
    tmp_path: Path, policy: str, answers: dict[str, dict[str, Any]]
) -> None:
    """Given a profile without a law for referrals, then the guide asks for act and article, and everything is sent."""
    basis = "MD Law 241-XVI art. 15"
    async with desk_of("ngo-a", tmp_path, registrar=under(policy)) as here, browsing(here, member()) as browser:
        at = str((await browser.post("/app/signals/new")).headers["location"])
        for page in (each for each in answers if each != "letter"):
            at = str((await filled(browser, at, answers[page])).headers["location"])
        unsaid = await filled(browser, at, answers["letter"])
        no_law = await filled(browser, at, {**answers["letter"], "legal_basis": "a law"})
        check = str((await filled(browser, at, {**answers["letter"], "legal_basis": basis})).headers["location"])
        page_of_check = (await browser.get(check)).text
        await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()

        for page_of_letter in (unsaid, no_law):
            assert page_of_letter.status_code == 422
            assert 'href="#legal_basis"' in page_of_letter.text
        assert "The Rules do not allow" not in page_of_check
        assert basis in page_of_check
        assert {verdict for _, _, verdict in await sent(here)} == {"registered"}
        rows = [row for row in await here.rows("outbox") if row.type == "referral.submitted"]
        assert rows
        assert {json.loads(row.clear, limit=100_000)["legalbasis"] for row in rows} == {basis}


async def test_a_law_that_no_event_can_name_is_not_proposed(tmp_path: Path) -> None:
    """Given a profile that cites a law in letters that no event carries, then the guide asks for act and article instead."""
    name = "xl@2025-01-01"
    law = (
        f'name: {name}\nextends: {POLICY}\ncites: {{"CoM 21/2008 art. 7 [S2]": "Hotărârea 228/2014 art. 5"}}\n'
        'adds: {laws: {"Hotărârea 228/2014": "Cu privire la activitatea echipelor"}}\n'
    )
    answers = {**ADULT, "letter": {**ADULT["letter"], "legal_basis": "HG 228/2014 art. 5"}}
    with known_here():
        add_profiles([law])
        async with desk_of("ngo-a", tmp_path, registrar=under(name)) as here, browsing(here, member()) as browser:
            check = await led(browser, answers)
            page = (await browser.get(check)).text
            await here.during(browser.post(check.replace("/check", "/send")))
            await here.settle()

            assert "The request does not fit" not in page
            assert "HG 228/2014 art. 5" in page
            assert {verdict for _, _, verdict in await sent(here)} == {"registered"}


async def test_nobody_is_asked_for_a_legal_basis_that_the_rules_do_not_need(tmp_path: Path) -> None:
    """Given an adult whom the deciding body does not hear of, then no page asks for act and article."""
    answers = {**ADULT, "consent": {**ADULT["consent"], "guide.sharing": ["ngo-l"], "guide.accepts": ["ngo-l"]}}
    async with (
        desk_of("ngo-a", tmp_path, registrar=under("md@2014-03-28")) as here,
        browsing(here, member()) as browser,
    ):
        check = await led(browser, answers)
        letter = (await browser.get(check.replace("/check", "/letter"))).text
        page = (await browser.get(check)).text

    assert "legal_basis" not in letter
    assert "The Rules do not allow" not in page


async def referred(here: Given) -> list[tuple[list[str], list[str]]]:
    """Return recipients and services of each referral and request for a bed in the outbox."""
    return [(data["to"], data.get("services", ["bed"])) for _, data, _ in await sent(here) if "to" in data]


@pytest.mark.parametrize(
    ("services", "to", "accepts", "wanted"),
    [
        (
            ["legal", "psychosocial"], ["special-unit", "vac", "ngo-l"], ["ngo-l"],
            [(["special-unit"], ["psychosocial"]), (["ngo-l"], ["legal", "psychosocial"]), (["vac"], [])],
        ),
        (
            ["safe_shelter", "food"], ["special-unit", "shelter"], ["shelter"],
            [(["special-unit"], []), (["shelter"], ["food"]), (["shelter"], ["bed"])],
        ),
        (
            ["safe_shelter", "legal"], ["special-unit", "shelter"], ["shelter"],
            [(["special-unit"], ["legal"]), (["shelter"], ["bed"])],
        ),
        (["safe_shelter", "legal"], ["shelter"], ["shelter"], [(["shelter"], ["legal"]), (["shelter"], ["bed"])]),
        (["legal"], ["special-unit", "vac"], [], [(["special-unit"], ["legal"]), (["vac"], [])]),
    ],
    ids=["one of two accepted", "more than a bed", "a bed, and what the house does not take", "a house alone", "none accepted"],
)  # fmt: skip
async def test_no_service_that_the_person_accepts_is_lost(
    tmp_path: Path,
    services: list[str],
    to: list[str],
    accepts: list[str],
    wanted: list[tuple[list[str], list[str]]],
) -> None:
    """Given services accepted from some agencies alone, then an agency is asked for each service, or the deciding body hears of the service."""
    answers = {
        **ADULT,
        "need": {"guide.services": services},
        "help": {"guide.to": to},
        "consent": {**ADULT["consent"], "guide.sharing": to, "guide.accepts": accepts},
    }
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, answers)
        assert "The Rules do not allow" not in (await browser.get(check)).text
        await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()

        assert {verdict for _, _, verdict in await sent(here)} == {"registered"}
        assert await referred(here) == wanted
        refs = [json.loads(row.clear, limit=100_000).get("referral") for row in await here.rows("outbox")]
        named = [ref for ref in refs if ref]
        assert len(set(named)) == len(named) == len(wanted)


async def test_a_bed_is_asked_for_at_each_shelter_of_the_profile(tmp_path: Path) -> None:
    """Given a profile in which a social service takes people in, then the guide asks that service for a bed."""
    answers = {
        **ADULT,
        "need": {"guide.services": ["safe_shelter", "legal"]},
        "help": {"guide.to": ["special-unit", "social"]},
        "consent": {**ADULT["consent"], "guide.sharing": ["special-unit", "social"], "guide.accepts": ["social"]},
    }
    with known_here():
        add_profiles([copied(SOCIAL_SERVICE_HOUSES)])
        registrar = under(NAME, social="social_services")
        async with desk_of("ngo-a", tmp_path, registrar=registrar) as here, browsing(here, member()) as browser:
            check = await led(browser, answers)
            await here.during(browser.post(check.replace("/check", "/send")))
            await here.settle()

            assert {verdict for _, _, verdict in await sent(here)} == {"registered"}
            assert await referred(here) == [(["special-unit"], ["legal"]), (["social"], ["bed"])]


async def test_a_guide_of_an_earlier_release_goes_on(tmp_path: Path) -> None:
    """Given a guide begun with three references, then the agencies asked and the agencies told share a referral, and the deciding body is told of each service."""
    answers = {
        **ADULT,
        "need": {"guide.services": ["legal", "psychosocial"]},
        "help": {"guide.to": ["special-unit", "vac", "ngo-l"]},
        "consent": {**ADULT["consent"], "guide.sharing": ["special-unit", "vac", "ngo-l"], "guide.accepts": ["ngo-l"]},
    }
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, answers)
        async with here.desk.seat.ledger.write() as tx:
            (begun,) = drafts.listed(here.desk.seat, tx)
            older = {**begun.typed, REFS: begun.typed[REFS][:3]}
            drafts.keep(here.desk.seat, tx, replace(begun, typed=older), seen=begun.version)
        await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()

        assert {verdict for _, _, verdict in await sent(here)} == {"registered"}
        assert await referred(here) == [(["special-unit"], ["legal", "psychosocial"]), (["ngo-l", "vac"], [])]


async def test_the_language_is_asked_for_once(tmp_path: Path) -> None:
    """Given a person who needs an interpreter, the letter takes the language from the first answer, as the bus writes it."""
    unsaid = {"guide.child": "no", "guide.interpreter": "yes", "guide.abroad": "no"}
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, ADULT)
        letter = await browser.get(check.replace("/check", "/letter"))
        page = await browser.get(check)
        missing = await filled(browser, check.replace("/check", "/person"), unsaid)

    assert "sealed.name" in letter.text
    assert "interpret" not in letter.text
    assert page.text.count("Language to interpret from") == 2
    assert (
        re.findall(r"Language to interpret from.*?</dt>\s*<dd[^>]*>\s*([^<]*?)\s*<", page.text, re.DOTALL)
        == ["Russian (rus)"] * 2
    )
    assert missing.status_code == 422
    assert 'href="#guide-language"' in missing.text


async def test_what_was_refused_of_a_guide_is_sent_again(tmp_path: Path) -> None:
    """Given one refused referral, then the page says what stands, and leads to that referral as it was typed, not to the case."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, ADULT)
        sending = await browser.post(check.replace("/check", "/send"))
        while records := await here.out():
            for record in records:
                refused = b'"ngo-l"' in (record.value or b"") and b"referral.submitted" in str(record.headers).encode()
                said = here.registrar.refuse(record, "consent_required", "G-32") if refused else None
                await here.hear(said or here.registrar.register(record, to=here.desk.seat.me))
        await rounds.end_drafts(here.desk.seat)
        page = await browser.get(sending.headers["location"])
        assert heading(page) == "Refused"
        assert "What was registered stands." in page.text

        again = await browser.post(check.replace("/check", "/again"))
        typed = await browser.get(again.headers["location"])
        assert heading(typed) == "Check your answers"
        assert CANARY in typed.text
        assert typed.text.count("ngo-l") > 0 == typed.text.count("special-unit")
        done = await here.during(browser.post(again.headers["location"].replace("/check", "/send")))

        assert heading(await browser.get(done.headers["location"])) == "Registered"
        assert [verdict for _, _, verdict in await sent(here)].count("registered") == 7
        late = await browser.post(check.replace("/check", "/again"))
        assert late.headers["location"] == check.replace("/check", "/sent"), "a second click leads to what became of it"


async def test_a_guide_of_which_nothing_was_registered_is_opened_again(tmp_path: Path) -> None:
    """Given a refused signal, and with it everything behind, then the guide goes on with every answer, as new events."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, CHILD)
        await browser.post(check.replace("/check", "/send"))
        while records := await here.out():
            for record in records:
                await here.hear(here.registrar.refuse(record, "unknown_case", "G-02"))

        again = await browser.post(check.replace("/check", "/again"))
        assert again.headers["location"] != check
        assert heading(await browser.get(again.headers["location"])) == "Check your answers"
        await here.during(browser.post(again.headers["location"].replace("/check", "/send")))
        await here.settle()
        assert [verdict for _, _, verdict in await sent(here)].count("registered") == 3


async def test_a_child_is_flagged_before_any_referral_and_not_asked(tmp_path: Path) -> None:
    """Given an unclear age, then nobody asks for consent; guardianship and commission hear first, then the referral goes."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, CHILD)
        help = (await browser.get(check.replace("/check", "/help"))).text
        assert "Nobody asks a child for consent. The deciding body (special police unit) must be told" in help
        assert "if the person agrees" not in help

        await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()

        events = await sent(here)
        assert [type for type, _, _ in events] == [
            "case.signal_recorded",
            "safeguard.child_flagged",
            "referral.submitted",
        ]
        assert events[1][1]["to"] == ["child-commission", "guardianship"]
        assert events[2][1]["services"] == ["safe_shelter", "legal"]
        assert {verdict for _, _, verdict in events} == {"registered"}


@pytest.mark.parametrize(
    ("there", "types"),
    [
        (("guardianship",), ["case.signal_recorded", "safeguard.child_flagged"]),
        ((), ["case.signal_recorded"]),
    ],
    ids=["one of them", "none"],
)
async def test_without_guardian_bodies_a_child_s_signal_goes_alone(
    tmp_path: Path, there: tuple[str, ...], types: list[str]
) -> None:
    """Given a bus without a body that must hear of a child first, then the guide says so, and sends what the Rules allow."""
    roles = {id: role for id, role in ROLES.items() if id in there or id not in {"guardianship", "child-commission"}}
    answers = {page: CHILD[page] for page in ("seen", "person", "danger")}
    registrar = FakeRegistrar(Town(roles=roles))
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as here, browsing(here, member()) as browser:
        check = await led(browser, answers)
        page = (await browser.get(check)).text
        assert "Nobody is referred yet" in page
        assert "The Rules do not allow" not in page

        await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()

        events = await sent(here)
        assert [type for type, _, _ in events] == types
        assert {verdict for _, _, verdict in events} == {"registered"}


async def test_the_worker_chooses_among_guardian_bodies_of_one_role(tmp_path: Path) -> None:
    """Given two bodies of guardianship, then the guide asks which of them hears of the child, and tells no other."""
    registrar = under(**{"guard-b": "guardianship"})
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as here, browsing(here, member()) as browser:
        at = str((await browser.post("/app/signals/new")).headers["location"])
        for page in ("seen", "person", "danger", "need"):
            at = str((await filled(browser, at, CHILD[page])).headers["location"])
        offered = (await browser.get(at)).text.partition('name="guide.guardians"')[2]
        unsaid = await filled(browser, at, CHILD["help"])
        at = str((await filled(browser, at, {**CHILD["help"], "guide.guardians": ["guard-b"]})).headers["location"])
        check = str((await filled(browser, at, CHILD["letter"])).headers["location"])
        page_of_check = (await browser.get(check)).text
        await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()

        assert 'value="guardianship"' in offered
        assert 'value="child-commission"' not in offered
        assert (unsaid.status_code, 'href="#guide-guardians"' in unsaid.text) == (422, True)
        assert "The Rules do not allow" not in page_of_check
        assert (await sent(here))[1][1]["to"] == ["child-commission", "guard-b"]
        assert {verdict for _, _, verdict in await sent(here)} == {"registered"}


async def test_nobody_is_asked_which_guardian_body_hears_of_an_adult(tmp_path: Path) -> None:
    """Given two bodies of guardianship and an adult, then the guide asks about neither, and nobody of them hears."""
    registrar = under(**{"guard-b": "guardianship"})
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as here, browsing(here, member()) as browser:
        check = await led(browser, ADULT)

        assert "guide.guardians" not in (await browser.get(check.replace("/check", "/help"))).text
        assert "The Rules do not allow" not in (await browser.get(check)).text


@pytest.mark.parametrize(
    ("guardians", "told"),
    [("[guardianship]", ["guardianship"]), ("[social_services]", ["social-services"])],
    ids=["no commission on minors", "social services"],
)
async def test_the_guardian_bodies_of_the_profile_hear_of_a_child(
    tmp_path: Path, guardians: str, told: list[str]
) -> None:
    """Given a country with other guardian bodies, then the guide notifies these alone, and the child is referred."""
    name = "xa@2025-01-01"
    with known_here():
        add_profiles([f"name: {name}\nextends: {POLICY}\nchanges:\n  roles: {{GUARDIANS: {guardians}}}\n"])
        registrar = under(name, **{"social-services": "social_services"})
        async with desk_of("ngo-a", tmp_path, registrar=registrar) as here, browsing(here, member()) as browser:
            check = await led(browser, CHILD)
            page = (await browser.get(check)).text
            await here.during(browser.post(check.replace("/check", "/send")))
            await here.settle()

            assert "The Rules do not allow" not in page
            assert "Nobody is referred yet" not in page
            assert [(type, data.get("to")) for type, data, _ in await sent(here)] == [
                ("case.signal_recorded", None), ("safeguard.child_flagged", told), ("referral.submitted", ["special-unit"]),
            ]  # fmt: skip


@pytest.mark.parametrize("kind", ["suspended", "retired"])
async def test_a_child_is_referred_to_nobody_while_the_guardian_body_hears_nothing(tmp_path: Path, kind: Kind) -> None:
    """Given a bus whose only guardianship body is suspended or has left, then the guide says so, tells the other body alone, and refers nobody."""
    answers = {page: CHILD[page] for page in ("seen", "person", "danger")}
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        gone(here, "guardianship", kind)
        check = await led(browser, answers)
        page = (await browser.get(check)).text
        await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()

        assert "Nobody is referred yet" in page
        told = [(type, data.get("to")) for type, data, _ in await sent(here)]
        assert told == [("case.signal_recorded", None), ("safeguard.child_flagged", ["child-commission"])]


async def test_a_page_says_what_is_missing_and_nobody_is_told_without_a_yes(tmp_path: Path) -> None:
    """Given gaps, then each page names them: no sign and no call for help, a child without a basis, nobody left to tell."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        at = str((await browser.post("/app/signals/new")).headers["location"])
        nothing = await filled(browser, at, {"guide.kind": "labour", "guide.asked": "no", "guide.told_by": "observed"})
        assert (nothing.status_code, 'href="#guide-dr"' in nothing.text) == (422, True)

        answers = {
            **ADULT,
            "consent": {**ADULT["consent"], "guide.sharing": ["special-unit"], "guide.refuses_unit": "yes"},
        }
        for page in ("seen", "person", "danger", "need", "help"):
            at = str((await filled(browser, at, answers[page])).headers["location"])
        answer = await filled(browser, at, answers["consent"])

        assert answer.status_code == 422
        assert "Nobody is left whom you may tell" in answer.text
        assert await here.rows("outbox") == []


async def test_the_guide_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """Given a guide that was saved halfway, then it is in the drafts, and another person gets a guide of their own, once."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        at = str((await browser.post("/app/signals/new")).headers["location"])
        later = await filled(browser, at, ADULT["seen"], go="later")
        assert later.headers["location"] == "/app/acts"
        assert "Record a signal and refer the person, step by step" in (await browser.get("/app/acts")).text

        start = await browser.get("/app/signals/new")
        other = await browser.post("/app/signals/new")
        double = await browser.post("/app/signals/new")

        assert at in start.text
        assert other.headers["location"] == double.headers["location"] != at
        assert "checked" in (await browser.get(at)).text
        assert "guide.ids" not in str(hidden(await browser.get(at)))


async def test_agencies_that_take_the_service_come_first_with_their_speed(tmp_path: Path) -> None:
    """Given services on the page, then those who take them are listed first; how fast they answered is said from this desk's past."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, ADULT)
        await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()
        ref = next(
            row
            for row in await here.rows("events")
            if row.type == "referral.submitted" and '"ngo-l"' in row.value.decode()
        )
        said = here.registrar.event(
            "ngo-l", "referral.accepted", {"next_step": "reception"}, case=ref.subject, referral=ref.referral
        )
        await here.hear(here.registrar.register(said, to="ngo-a"))
        at = str((await browser.post("/app/signals/new")).headers["location"])
        for page in ("seen", "person", "danger", "need"):
            at = str((await filled(browser, at, ADULT[page])).headers["location"])
        listed = (await browser.get(at)).text.partition('id="guide-to"')[2]

        assert "takes: Safe shelter" in listed
        assert "has answered within" in listed
        assert listed.index('value="shelter"') < listed.index('value="child-commission"')


async def test_only_an_agency_that_may_record_a_signal_is_offered_the_guide(tmp_path: Path) -> None:
    """Given a fund, which detects nobody, then the guide is neither in its navigation nor at its address."""
    async with desk_of("ngo-a", tmp_path / "ngo-a") as here, browsing(here, member()) as browser:
        assert "/app/signals/new" in (await browser.get("/app/acts")).text
    async with desk_of("fund", tmp_path / "fund") as here, browsing(here, member()) as browser:
        assert "/app/signals/new" not in (await browser.get("/app/acts")).text
        assert (await browser.get("/app/signals/new")).status_code == 404


async def test_the_guide_sends_nothing_that_another_tab_changed(tmp_path: Path) -> None:
    """Given answers that are changed in another tab after they were read, then they are shown as they are now."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        at = await led(browser, ADULT)
        await changed_elsewhere(here, browser, at, "danger", **{"guide.urgency": "urgent"})


async def both_sent(
    here: Given, browser: httpx.AsyncClient, at: str, one: dict[str, Any], other: dict[str, Any]
) -> list[str]:
    """Fill in the page *at* in two tabs, keep both and send each; return the headings of what became of them."""
    version = hidden(await browser.get(at))["version"]
    await browser.post(at, data={**one, "version": version, "go": "on"})
    both = await browser.post(at, data={**other, "version": version, "go": "both"})
    found = []
    for page in (at, str(both.headers["location"])):
        check = re.sub(r"/\w+$", "/check", page)
        seen = hidden(await browser.get(check))["seen"]
        done = await here.during(browser.post(check.replace("/check", "/send"), data={"seen": seen}))
        await here.settle()
        found.append(heading(await browser.get(done.headers["location"])))
    return found


async def test_both_of_two_tabs_of_a_guide_are_sent(tmp_path: Path) -> None:
    """Given a guide changed in two tabs, when the worker keeps both, then each is registered, in a case of its own."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        need = (await led(browser, ADULT)).replace("/check", "/need")
        headings = await both_sent(here, browser, need, {"guide.services": ["legal"]}, {"guide.services": ["food"]})

        assert headings == ["Registered"] * 2
        assert {verdict for _, _, verdict in await sent(here)} == {"registered"}
        assert len({row.subject for row in await here.rows("outbox")}) == 2


async def test_both_of_two_tabs_of_a_signal_are_sent(tmp_path: Path) -> None:
    """Given a signal without the guide that two tabs changed, then each of both is registered too, in a case of its own."""
    signal = {
        "data.detector": "ngo_outreach", "data.child": "no", "data.detected_abroad": "no", "data.basis": ["indicators"],
    }  # fmt: skip
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        what = str((await browser.post("/app/signals/alone")).headers["location"])
        urgent, normal = ({**signal, "data.urgency": each} for each in ("urgent", "normal"))
        headings = await both_sent(here, browser, what, urgent, normal)

        assert headings == ["Registered"] * 2
        assert len({row.subject for row in await here.rows("outbox")}) == 2


async def test_both_of_two_tabs_of_an_incident_are_sent(tmp_path: Path) -> None:
    """Given a group found together that two tabs changed, then each of both is registered, as an incident of its own."""
    async with desk_of("police-x", tmp_path) as here, browsing(here, member()) as browser:
        what = str((await browser.post("/app/groups")).headers["location"])
        site, street = ({"data.place_type": place, "data.head_count": "2"} for place in ("construction_site", "street"))
        headings = await both_sent(here, browser, what, site, street)

        assert headings == ["Registered"] * 2
        assert len({row.subject for row in await here.rows("outbox")}) == 2
