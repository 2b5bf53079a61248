"""Items of the work lists: what this desk's view of one case says is to do, waited for, answered or on record. Pure.

A queue picks among the items (`queues`). Everything here rests on what this agency sent or received, as at the door.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from nrmbus.desk.state.open_duties import held_until, met_unseen
from nrmbus.desk.web.work import emergencies, money, staying
from nrmbus.desk.web.work.item import NOTHING, Facts, Item, Side, Task
from nrmbus.desk.web.work.kinds import (
    ACTS,
    ANSWERS,
    BETTER,
    FIRST_STEPS,
    KNOWN_OTHERWISE,
    LODGING,
    OF_A_NO,
    OF_A_RUNNING_CASE,
    OF_THE_RETURN,
    ONCE,
    OVER,
    PERIODS,
    PLANNING,
    PLANS,
    QUESTION,
    REFER_AGAIN,
    REFERRING,
    REPLACED,
    RESULTS,
    SERVICES,
    SHOWN,
    STARTED,
    first_step,
)
from nrmbus.rules.clocks import Clock
from nrmbus.rules.records import Party, Payment, Referral

_ANSWERS_KEPT: Final = 5


def items_of(me: str, facts: Facts, object_minutes: int, may_publish: Callable[[str], bool]) -> tuple[Item, ...]:
    """Return the items of one case for the agency *me*, whose role *may_publish* some types.

    *object_minutes* is the time to object to an emergency request.
    """
    case = _Case(me, facts, object_minutes, may_publish)
    return tuple(case.items()) if facts.is_whole else (*case.tasks(), *case.unsent(), *case.itself())


class _Case:
    """One case while its items are made."""

    def __init__(self, me: str, facts: Facts, object_minutes: int, may_publish: Callable[[str], bool]) -> None:
        self.me, self.facts, self.view, self.object_minutes = me, facts, facts.view, object_minutes
        self.may_publish = may_publish
        self.status = str(self.view.status or "") if facts.is_whole else ""
        self.is_over = self.status in OVER or self.view.closing is not None or self.view.over
        self.covered: set[tuple[str, str | None, str]] = set()
        """Side, reference and agency of what a duty shows already."""
        self.questions: set[tuple[str, str]] = set()
        """Reference and asker of the questions that a duty shows."""
        self.ordered_again = money.ordered_again(self.view.payments.values())

    def item(self, side: Side, about: str, type: str, **more: Any) -> Item:
        return Item(
            side, about, self.view.subject, type,
            child=bool(self.view.child), status=self.status, is_over=self.is_over, **more,
        )  # fmt: skip

    def items(self) -> Iterator[Item]:
        for duty in self.facts.duties:
            yield from self.duty(duty)
        for referral in self.view.referrals.values():
            yield from self.referral(referral)
            yield from self.in_vain(referral)
        yield from self.child()
        yield from self.beds()
        yield from self.beds_to_ask_for()
        yield from self.stay()
        yield from self.reviews()
        yield from self.services()
        yield from self.payments()
        yield from self.grants()
        yield from self.proceedings()
        for side, about, type, more in emergencies.asked(
            self.me, self.facts, self.object_minutes, is_over=self.is_over
        ):
            yield self.item(side, about, type, **more)
        yield from self.tasks()
        yield from self.unsent()
        yield from self.answers()
        yield from self.plan()
        yield from self.itself()

    # -- clocks ------------------------------------------------------------------------------------------------------

    def duty(self, duty: Clock) -> Iterator[Item]:
        if duty.code == QUESTION:
            yield from self._asked(duty)
            return
        type, asker, urgency = self._about(duty)
        said = {
            "since": duty.start, "due": duty.due, "breached": duty.breached, "code": duty.code, "ref": duty.ref,
            "said": self._asked_for(duty.ref),
        }  # fmt: skip
        if duty.code in PERIODS:
            if duty.answerable == self.me:
                yield self.item("record", "period", type, state="runs", act=self._act(duty), **said)
                yield self.item("ours", "period", type, state="runs", act=self._act(duty), **said)
            return
        if duty.answerable == self.me:
            self.covered.add(("ours", duty.ref, self.me))
            if duty.due is None:
                return  # the question that stops the clock is an item of its own
            agencies = (asker,) if asker and asker != self.me else ()
            yield self.item(
                "ours", "duty", type, agencies=agencies, state="to_do", act=self._act(duty), urgency=urgency, **said
            )
        elif self.me in duty.told or asker == self.me:
            self.covered.add(("theirs", duty.ref, duty.answerable))
            if duty.due is not None:
                state = self._their_state(duty)
                yield self.item(
                    "theirs",
                    "duty",
                    type,
                    agencies=(duty.answerable,),
                    state=state,
                    urgency=urgency,
                    ends=met_unseen(duty, self.me),
                    **said,
                )

    def _asked(self, duty: Clock) -> Iterator[Item]:
        """Yield a question to the sender of a referral, for that agency and for the one that asked."""
        referral, asker = self.view.referrals.get(duty.ref or ""), duty.told[0] if duty.told else ""
        if referral is None or self.me not in (referral.sender, asker):
            return
        self.questions.add((referral.ref, asker))
        until = {"due": duty.due, "breached": duty.breached}
        if referral.sender == self.me:
            yield self._question("ours", referral, (asker,), "referral.info_supplied", "to_do", **until)
        else:
            yield self._question("theirs", referral, (referral.sender,), "", "asked", **until)

    def _asked_for(self, ref: str | None) -> Mapping[str, Any]:
        """Return the services that the referral or the request *ref* asks for."""
        for event in reversed(self.facts.happened):
            if ref is not None and event.ref == ref and event.type in ("referral.submitted", "service.requested"):
                services = event.data.get("services") or [event.data.get("service")]
                codes = tuple(each["code"] if isinstance(each, Mapping) else each for each in services if each)
                return {"services": codes} if codes else NOTHING
        return NOTHING

    def _act(self, duty: Clock) -> str:
        if duty.code == "D-SERVICE" and duty.ref in self.view.services:
            return "service.scheduled"
        referral = self.view.referrals.get(duty.ref or "")
        party = referral.party(self.me) if referral else None
        if duty.code == "D-ANSWER" and party is not None and party.state == "accepted":
            return "identification.stage_entered"
        if duty.code == "D-ASSIGN" and any(party.agency == self.me for _, party in self._without_a_bed()):
            return ""  # the request for a bed is somebody else's step
        if duty.code == REFERRING:
            return first_step(self.view) or ACTS[REFERRING]
        return ACTS.get(duty.code, "")

    def _about(self, duty: Clock) -> tuple[str, str, str]:
        """Return the type that the duty is known by, the agency that asked, and the urgency."""
        ref, view = duty.ref or "", self.view
        if duty.code == "D-SERVICE":
            if ref in view.services:
                return "service.requested", view.services[ref].requester or "", ""
            referral = view.referrals.get(ref)
            return "referral.submitted", referral.sender if referral else "", referral.urgency if referral else ""
        type = STARTED.get(duty.code, "")
        if duty.code == QUESTION:
            return type, next(iter(duty.told), ""), view.referrals[ref].urgency if ref in view.referrals else ""
        if ref in view.referrals:
            return type, view.referrals[ref].sender, view.referrals[ref].urgency
        for records in (view.beds, view.holds, view.reviews):
            if ref in records:
                return type, records[ref].mark.source, ""
        return type, duty.told[0] if duty.told else "", ""

    def _their_state(self, duty: Clock) -> str:
        if duty.code == QUESTION:
            return "asked"
        referral = self.view.referrals.get(duty.ref or "")
        party = referral.party(duty.answerable) if referral else None
        if party is None:
            return "no_answer"
        if party.state == "accepted":
            return "accepted"
        return "acknowledged" if party.acknowledged else "no_answer"

    # -- records -----------------------------------------------------------------------------------------------------

    def referral(self, referral: Referral) -> Iterator[Item]:
        said = {"ref": referral.ref, "since": referral.mark.registered, "urgency": referral.urgency}
        for party in referral.receivers:
            yield self.item(
                "record", "referral", "referral.submitted", said=self._asked_for(referral.ref),
                agencies=tuple(each for each in (referral.sender, party.agency) if each != self.me),
                code=party.state, state=party.state, **said,
            )  # fmt: skip
            is_asked = party.asked and party.state == "submitted"
            if (referral.ref, party.agency) in self.questions:
                continue
            if is_asked and referral.sender == self.me:
                yield self._question("ours", referral, (party.agency,), "referral.info_supplied", "to_do")
            elif is_asked and party.agency == self.me:
                yield self._question("theirs", referral, (referral.sender,), "", "asked")
            elif party.state != "submitted":
                continue
            elif referral.sender == self.me and ("theirs", referral.ref, party.agency) not in self.covered:
                state = "acknowledged" if party.acknowledged else "no_answer"
                yield self.item(
                    "theirs", "referral", "referral.submitted", agencies=(party.agency,), state=state, **said
                )
            elif party.agency == self.me and ("ours", referral.ref, self.me) not in self.covered:
                yield self.item(
                    "ours", "referral", "referral.submitted", agencies=(referral.sender,), state="to_do",
                    act="referral.accepted", **said,
                )  # fmt: skip

    def in_vain(self, referral: Referral) -> Iterator[Item]:
        """Yield what this agency's referral came to if nobody took it, until the agency refers the person again.

        An open task stands for the next step. Once it is marked as done, nobody has to refer the person again.
        """
        has_task = referral.ref in self.facts.settled or any(
            each.kind == REFER_AGAIN and each.ref == referral.ref for each in self.facts.tasks
        )
        if referral.sender != self.me or self.is_over or any(party.stands for party in referral.receivers):
            return
        sent = [each.mark.registered for each in self.view.referrals.values() if each.sender == self.me]
        for party in referral.receivers:
            said = [
                each.registered
                for each in self.facts.happened
                if each.ref == referral.ref and each.type == f"referral.{party.state}"
            ]
            ended = said[-1] if said else referral.mark.registered
            if any(each > ended for each in sent):
                continue
            more: dict[str, Any] = {
                "ref": referral.ref, "agencies": (party.agency,), "state": party.state, "code": party.state,
                "since": ended, "urgency": referral.urgency,
            }  # fmt: skip
            if party.state == "expired":  # silence stays a row
                yield self.item("theirs", "referral", "referral.expired", breached=True, **more)
            if party.state in ("declined", "expired") and not has_task:
                yield self.item("ours", "referral", f"referral.{party.state}", act="referral.submitted", **more)

    def child(self) -> Iterator[Item]:
        """Yield what a body for children owes a child that was reported to it and no clock shows."""
        if self.me not in self.view.flagged or not self.view.child or self.is_over:
            return
        flagged = [each for each in self.facts.happened if each.type == "safeguard.child_flagged"]
        has_clock = any(duty.code == "D-REPRESENT" for duty in self.facts.duties)
        for act, is_done in (
            ("safeguard.representative_assigned", self.view.represented or has_clock),
            ("safeguard.best_interests_decided", self.view.best_interests is not None),
        ):
            if not is_done and self.may_publish(act):
                yield self.item(
                    "ours", "child", "safeguard.child_flagged", code=act, act=act, state="to_do",
                    since=flagged[-1].registered if flagged else None,
                    agencies=(flagged[-1].source,) if flagged else (),
                )  # fmt: skip
                return

    def _question(
        self, side: Side, referral: Referral, agencies: tuple[str, ...], act: str, state: str, **more: Any
    ) -> Item:
        asked = [
            each.registered
            for each in self.facts.happened
            if each.type == "referral.info_requested" and each.ref == referral.ref
        ]
        since = asked[-1] if asked else referral.mark.registered
        return self.item(
            side, "question", "referral.info_requested", ref=referral.ref, agencies=agencies, act=act, state=state,
            since=since, urgency=referral.urgency, **more,
        )  # fmt: skip

    def beds(self) -> Iterator[Item]:
        lapses = held_until(self.facts.due)
        for bed in self.view.beds.values():
            for house in bed.houses:
                if self.me not in (house.agency, bed.asker):
                    continue
                is_mine = house.agency == self.me
                other = (bed.asker,) if is_mine else (house.agency,)
                until = lapses.get((bed.ref, house.agency)) if house.state == "offered" else None
                since = house.offer.registered if house.offer and house.state == "offered" else bed.mark.registered
                act = {"offered": "shelter.admitted", "admitted": "shelter.discharged"}.get(house.state, "")
                yield self.item(
                    "record", "bed", "shelter.bed_requested", ref=bed.ref, agencies=other, code=house.state,
                    state=house.state, since=since, due=until, act=act if is_mine else "",
                )  # fmt: skip
                if house.state == "offered" and is_mine:
                    yield self.item(
                        "ours", "bed", "shelter.bed_offered", ref=bed.ref, agencies=other, code="offered",
                        state="offered", since=since, due=until, act=act,
                    )  # fmt: skip
                if house.state == "offered" and not is_mine:
                    yield self.item(
                        "theirs", "bed", "shelter.bed_offered", ref=bed.ref, agencies=other, code="offered",
                        state="offered", since=since, due=until,
                    )  # fmt: skip
                if house.state == "asked" and not is_mine and ("theirs", bed.ref, house.agency) not in self.covered:
                    yield self.item(
                        "theirs", "bed", "shelter.bed_requested", ref=bed.ref, agencies=other, state="no_answer",
                        since=bed.mark.registered,
                    )  # fmt: skip

    def beds_to_ask_for(self) -> Iterator[Item]:
        """Yield each referral for a place that a shelter has accepted: the sender asks for the bed."""
        for referral, party in self._without_a_bed():
            said = {"ref": referral.ref, "state": "no_bed_asked", "code": "no_bed_asked", "urgency": referral.urgency,
                    "since": referral.mark.registered, "said": self._asked_for(referral.ref)}  # fmt: skip
            if referral.sender == self.me and self.may_publish("shelter.bed_requested"):
                yield self.item(
                    "ours", "bed", "referral.accepted", agencies=(party.agency,), act="shelter.bed_requested", **said
                )
            elif party.agency == self.me:
                yield self.item("theirs", "bed", "referral.accepted", agencies=(referral.sender,), **said)

    def _without_a_bed(self) -> Iterator[tuple[Referral, Party]]:
        for referral in () if self.is_over else self.view.referrals.values():
            if not LODGING & set(self._asked_for(referral.ref).get("services", ())):
                continue
            for party in referral.receivers:
                asked = any(bed.house(party.agency) is not None for bed in self.view.beds.values())
                if party.agency in self.facts.shelters and party.state == "accepted" and not asked:
                    yield referral, party

    def stay(self) -> Iterator[Item]:
        """Yield holds, permits and the way home."""
        shown = frozenset(f"{ref} {agency}" for side, ref, agency in self.covered if side == "theirs")
        back = [each.registered for each in self.facts.happened if each.type.startswith("return.")]
        duties = self.facts.duties
        for side, about, type, more in (
            *staying.holds(self.me, self.view, duties, shown),
            *staying.permits(self.me, self.view),
            *staying.returns(self.me, self.view, duties, back[-1] if back else None, self.may_publish),
        ):
            yield self.item(side, about, type, **more)

    def reviews(self) -> Iterator[Item]:
        for review in self.view.reviews.values():
            if review.open:
                yield self.item(
                    "record", "review", "review.requested", ref=review.ref, agencies=(review.mark.source,),
                    since=review.mark.registered, state="asked", code="asked",
                )  # fmt: skip

    def services(self) -> Iterator[Item]:
        for ref, service in self.view.services.items():
            about = [each for each in self.facts.happened if each.type in SERVICES and each.ref == ref]
            last = about[-1] if about else None
            state = (last.type if last else "service.requested").partition(".")[2]
            said: dict[str, Any] = {
                "ref": ref, "since": last.registered if last else service.mark.registered, "state": state, "code": state,
                "said": {"service": next((each.data["service"] for each in about if "service" in each.data), "")},
            }  # fmt: skip
            when = last.data.get("when") if last else None
            if when:
                said["said"]["when"] = when
            others = service.receivers if service.requester == self.me else (service.requester or service.mark.source,)
            yield self.item("record", "service", "service.requested", agencies=others, **said)
            if not service.open:
                continue
            if service.requester == self.me:
                for agency in service.waiting:
                    if ("theirs", ref, agency) not in self.covered:
                        yield self.item("theirs", "service", "service.requested", agencies=(agency,), **said)
            elif self.me in service.waiting and ("ours", ref, self.me) not in self.covered:
                yield self.item(
                    "ours", "service", "service.requested", agencies=others, act="service.delivered", **said
                )

    def plan(self) -> Iterator[Item]:
        """Yield an item for each service of the plan that nobody was asked for yet, and the plan itself."""
        plan = self.view.plan
        named = [each for each in self.facts.happened if each.type in PLANS]
        if plan is None or not plan.in_force:
            return
        asked = {
            each.data.get("service") for each in self.facts.happened if each.type in SERVICES and "service" in each.data
        }
        said = {"since": named[-1].registered if named else None, "agencies": (plan.holder,), "due": plan.ends}
        for service in named[-1].data.get("services", ()) if named else ():
            if service not in asked:
                act = "service.requested" if plan.holder == self.me else ""
                yield self.item(
                    "record", "service", "plan.adopted", state="planned", code="planned", act=act,
                    said={"service": service}, **{**said, "due": None},
                )  # fmt: skip
        act = "plan.revised" if plan.holder == self.me else ""
        yield self.item("record", "plan", "plan.adopted", state="in_force", code="in_force", act=act, **said)

    def payments(self) -> Iterator[Item]:
        for ref, each in self.view.payments.items():
            is_mine, again = each.mark.source == self.me, self._is_ordered_again(each)
            act = "" if not is_mine else "payment.executed" if each.state == "ordered" else "payment.ordered" * again
            code = REPLACED if ref in self.ordered_again else each.state
            said = {
                "ref": ref, "since": each.mark.registered, "state": each.state, "code": code, "act": act,
                "agencies": () if is_mine else (each.mark.source,),
                "said": {
                    "kind": each.kind, "amount": each.amount, "currency": each.currency, **self._granted(each.grant),
                },
            }  # fmt: skip
            yield self.item("record", "payment", "payment.ordered", **said)
            if act:
                yield self.item("ours", "payment", "payment.ordered", **said)
        if self.facts.owed:
            amount, _, currency = self.facts.owed.partition(" ")
            said = {
                "state": "owed", "code": "owed", "act": "payment.ordered",
                "said": {"kind": money.ALLOWANCE, "amount": amount, "currency": currency},
            }  # fmt: skip
            yield self.item("record", "payment", "identification.status_decided", **said)
            yield self.item("ours", "payment", "identification.status_decided", **said)

    def _is_ordered_again(self, payment: Payment) -> bool:
        """Return whether *payment* came back and is ordered again from its own row; the money of a grant is, from the grant's."""
        if payment.state != "failed" or payment.grant is not None or payment.kind == "compensation":
            return False
        if payment.ref in self.ordered_again:  # the later order is paid, waits, or has come back in its own row
            return False
        return payment.kind != money.ALLOWANCE or payment.decision == self.view.effective  # a revoked status ends it

    def _granted(self, ref: str | None) -> Mapping[str, Any]:
        """Return what the money of the grant *ref* is for, and where it comes from; nothing if no grant is known."""
        grant = self.view.grants.get(ref or "")
        return {"purpose": grant.purpose, "source": grant.source} if grant else NOTHING

    def grants(self) -> Iterator[Item]:
        """Yield each grant for which no order stands: the fund orders it, also again after the money came back."""
        for ref, each in self.view.grants.items():
            if each.order is not None:
                continue
            act = "payment.ordered" if self.may_publish("payment.ordered") else ""
            said = {
                "ref": ref, "since": each.mark.registered, "state": "granted", "code": "granted", "act": act,
                "agencies": () if each.mark.source == self.me else (each.mark.source,), "said": self._granted(ref),
            }  # fmt: skip
            yield self.item("record", "grant", "fund.compensation_granted", **said)
            if act:
                yield self.item("ours", "grant", "fund.compensation_granted", **said)

    def proceedings(self) -> Iterator[Item]:
        for ref, each in self.view.proceedings.items():
            act = "justice.verdict_recorded" if each.open and self.me == (each.court or each.mark.source) else ""
            others = tuple(agency for agency in (each.mark.source, each.court) if agency and agency != self.me)
            state = "open" if each.open else str(each.outcome)
            yield self.item(
                "record", "proceedings", "justice.case_opened", ref=ref, since=each.mark.registered, agencies=others,
                state="proceedings_open" if each.open else state, code="open" if each.open else "over", act=act,
            )  # fmt: skip

    # -- the rest ----------------------------------------------------------------------------------------------------

    def tasks(self) -> Iterator[Item]:
        for task in self.facts.tasks:
            if task.kind in OF_THE_RETURN or (task.kind in KNOWN_OTHERWISE and task.event_type in SHOWN):
                continue
            if task.kind in FIRST_STEPS and (not first_step(self.view) or self._owes_a_referral()):
                continue
            if self._is_overtaken(task):
                continue
            if emergencies.is_about(task, self.view):
                for side, about, type, more in emergencies.afterwards(
                    task, self.facts, self.object_minutes, is_over=self.is_over
                ):
                    yield self.item(side, about, type, **more)
                continue
            said = {"alternatives": task.alternatives} if task.alternatives else NOTHING
            yield self.item(
                "ours", "task", task.event_type, ref=task.ref, code=task.kind, since=task.opened, task=task.id,
                agencies=task.readers or ((task.source,) if task.source else ()), state="to_do", said=said,
            )  # fmt: skip

    def _is_overtaken(self, task: Task) -> bool:
        """Return whether the case has gone on since *task* was opened.

        It was closed, the person was referred again, a plan was agreed on, a hold was asked for, the child came home, the
        status was decided, the negative decision fell, money was ordered again, or the same is asked for once more.
        """
        if self.is_over and task.kind in OF_A_RUNNING_CASE:
            return True
        if task.kind == REFER_AGAIN:
            sent = (each.mark.registered for each in self.view.referrals.values() if each.sender == self.me)
            return any(each > task.opened for each in sent)
        if task.kind in ONCE and any(each.kind == task.kind and each.id > task.id for each in self.facts.tasks):
            return True
        if task.kind == "ask_another_shelter":
            asked = (each.mark.registered for each in self.view.beds.values() if each.asker == self.me)
            return any(each > task.opened for each in asked)
        if task.kind == "came_back":
            back = self.view.payments.get(task.ref or "")
            return back is not None and (back.state != "failed" or back.ref in self.ordered_again)
        if task.kind == "has_left":
            return not any(house.agency == self.me and house.state == "admitted" for _, house in self.view.houses())
        if task.kind == "ask_hold":
            return any(not hold.ended for hold in self.view.holds.values())
        if task.kind == "conditions":
            home = (each for each in self.facts.happened if each.type == "safeguard.returned_to_family")
            return any(each.registered > task.opened for each in home)
        if task.kind in OF_A_NO and self.status in BETTER:
            return True
        if task.kind == "attend":  # nobody is interviewed once the status is decided
            decided = (each for each in self.facts.happened if each.type == "identification.status_decided")
            return any(each.registered > task.opened for each in decided)
        if task.kind not in PLANNING:
            return False
        said = (each for each in self.facts.happened if each.type in PLANS and each.source == self.me)
        return any(each.registered > task.opened for each in said)

    def _owes_a_referral(self) -> bool:
        return any(duty.code == REFERRING and duty.answerable == self.me for duty in self.facts.duties)

    def unsent(self) -> Iterator[Item]:
        for event in self.facts.unsent:
            yield self.item("theirs", "unsent", event.type, ref=event.ref, since=event.registered, state="not_sent")

    def answers(self) -> Iterator[Item]:
        answers = [each for each in self.facts.happened if each.type in ANSWERS and each.source != self.me]
        for event in answers[-_ANSWERS_KEPT:]:
            yield self.item(
                "answer", "answer", event.type, ref=event.ref, since=event.registered, state=event.type,
                agencies=(event.source,), code=event.id,
                said=next(({"result": each, each: event.data[each]} for each in RESULTS if event.data.get(each)), NOTHING),
            )  # fmt: skip

    def itself(self) -> Iterator[Item]:
        """Yield the case; an incident is none: each of its people has one."""
        happened, opened = self.facts.happened, self.view.opened
        if happened and happened[0].type == "incident.opened":
            return
        state = "parked" if self.facts.is_parked else "incomplete" if not self.facts.is_whole else self.status
        last = happened[-1].registered if happened else None
        stages = [each.data.get("stage", "") for each in happened if each.type == "identification.stage_entered"]
        yield self.item(
            "case", "case", "case.signal_recorded", state=state, code=self.status,
            since=opened.registered if opened else happened[0].registered if happened else None,
            agencies=(opened.source,) if opened else (), said={"last": last, "stage": stages[-1] if stages else ""},
        )  # fmt: skip
