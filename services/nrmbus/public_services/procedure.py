"""Health, education and employment: they meet people first, and give services. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line
from nrmbus.desk.procedure.shared import noted, referral_came
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.support import (
    PlanAdopted,
    PlanCompleted,
    PlanRevised,
    ServiceDelivered,
    ServiceNotDelivered,
    ServiceScheduled,
)

meet = first_contact.meeting(
    1, "A worker", "Ask the person alone whom you may tell. Treatment, school or work does not wait for it."
)
refuse = first_contact.refusal(2)


@line(ReferralSubmitted)
def receive(_: ReferralSubmitted, heard: Heard, __: State) -> Result | None:
    """3. A referral comes: a worker accepts, declines with a reason or asks; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S39, S43, S46])."""
    return referral_came(heard)


ask = support.service(4, "a worker")


@line(ServiceScheduled, ServiceDelivered, ServiceNotDelivered, PlanAdopted, PlanRevised, PlanCompleted)
def follow(_: Data, heard: Heard, __: State) -> Result | None:
    """5. A plan that names this service is adopted, changed or completed, or another provider answers: noted, and nothing to do ([S26])."""
    return noted(heard)


supply, decline, expire, note = handoffs.answers(6, "a worker")
course, outcome = handoffs.outcomes(
    10, "treatment, school or work goes on, and a worker asks about a review",
    "treatment, school or work goes on. Ask the person about a review, and name new evidence or a breach of the rules.",
)  # fmt: skip


stop = support.taken_back(12, "the service")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
