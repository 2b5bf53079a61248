"""The hotline: from a call to a referral, or to an anonymous notice. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line
from nrmbus.events.case import ReReferred, SignalRecorded
from nrmbus.events.consent import ConsentGiven
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralInfoRequested


@line(SignalRecorded)
def call(signal: SignalRecorded, heard: Heard, __: State) -> Result | None:
    """1. A call becomes a signal: of a child, the guardian bodies are notified first; an adult is asked, and referred; time to refer: {D-REFER} ({basis:D-REFER}, [S34, S36])."""
    if isinstance(signal, ReReferred):
        return None
    return first_contact.met(heard, "Ask the caller whom you may tell. Without consent the notice stays anonymous.")


@line(ReReferred)
def call_again(_: ReReferred, heard: Heard, __: State) -> Result | None:
    """2. Somebody who had a case before calls again: the new case names the one before, so that figures count one person ([S34, S36], rule T18)."""
    return first_contact.met(
        heard, "Ask the caller again whom you may tell: no consent comes over from the case before."
    )


@line(*first_contact.REFUSING)
def refuse(_: Data, heard: Heard, __: State) -> Result | None:
    """3. An adult refuses the deciding body ({decider}): the notice stays anonymous and is counted once, and help without the police is offered; somebody who is then found to be a child is referred ([S26, S34, S36])."""
    return first_contact.refused_the_deciding_body(heard)


@line(ConsentGiven)
def agree(_consent: ConsentGiven, heard: Heard, __: State) -> Result | None:
    """4. An adult who stayed anonymous agrees to the deciding body ({decider}): a task to refer, with this consent (rule T02, [S34])."""
    return first_contact.agreed_to_the_deciding_body(heard, status="SUSPECTED") if heard.own else None


@line(ReferralInfoRequested)
def call_back(_: ReferralInfoRequested, heard: Heard, __: State) -> Result | None:
    """5. A receiver asks: the hotline calls the person back at a safe hour and supplies the answer; until then the receiver's clock stands still ([S46], [D])."""
    sentence = (
        "The receiver has a question: call the person back at a safe hour, and answer. Its clock stands until then."
    )
    return handoffs.questioned(heard, "call_back", sentence)


decline, expire, note = handoffs.ends(6)
course, outcome = handoffs.outcomes(
    9, "the person is called at a safe hour, and asked about a review",
    "call the person at a safe hour, ask about a review, and name new evidence or a breach of the rules.",
)  # fmt: skip
stop = support.taken_back(11, "the hotline")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
