"""Support: needs, the individual plan, and the services of the plan. [S26, S43, S46]."""

from typing import Annotated

from nrmbus.events.codes import PlanOutcome, Risk, Service, ServiceOutcome, Urgency
from nrmbus.events.model import Agencies, Codes, Data, Days, Letter, Time, clear, sealed


class NeedsAssessedLetter(Letter):
    """What the person needs."""

    needs: Annotated[Codes[Service] | None, sealed("coded", "DC2", "Needs, by the codes of services")] = None
    risk: Annotated[Risk | None, sealed("coded", "DC2", "Level of risk")] = None


class NeedsAssessed(Data):
    """A provider has found out what the person needs [S26, S46]."""

    type = "needs.assessed"
    letter = NeedsAssessedLetter

    to: Annotated[Agencies, clear("Whom the provider tells")]


class PlanAdopted(Data):
    """A provider and the person have agreed on a plan; those in `to` are its members and the provider holds it [S26]."""

    type = "plan.adopted"

    to: Annotated[Agencies, clear("Members of the plan")]
    services: Annotated[Codes[Service], clear("Services of the plan")]
    planned_end_days: Annotated[Days, clear("Calendar days until the planned end")]


class PlanRevised(Data):
    """The plan is changed; its members stay [S26]."""

    type = "plan.revised"

    services: Annotated[Codes[Service], clear("Services of the plan from now on")]
    planned_end_days: Annotated[Days, clear("Calendar days until the planned end")]


class PlanCompleted(Data):
    """The plan has come to its end [S26]."""

    type = "plan.completed"

    outcome: Annotated[PlanOutcome, clear("What came of it")]


class _Service(Data):
    """What the events of a service have in common."""

    service: Annotated[Service, clear("Which service")]
    to: Annotated[Agencies | None, clear("The other party, when it is told for the first time")] = None


class ServiceRequested(_Service):
    """The holder of the plan asks a provider for a service [S43, S46]."""

    type = "service.requested"

    urgency: Annotated[Urgency, clear("How soon: 24 hours, 72 hours, 14 days")]


class ServiceScheduled(_Service):
    """The provider has named a time [S43]."""

    type = "service.scheduled"

    when: Annotated[Time, clear("When")]


class ServiceDelivered(_Service):
    """The service was given [S46]."""

    type = "service.delivered"

    outcome: Annotated[ServiceOutcome, clear("How")]


class ServiceNotDelivered(_Service):
    """The service was not given [S46]."""

    type = "service.not_delivered"

    outcome: Annotated[ServiceOutcome, clear("Why not")]
