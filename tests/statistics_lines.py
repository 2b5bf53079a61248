"""Cases as lines of an exported history, without what is there to prove them: what programs of others read."""

import json
from collections.abc import Iterable
from typing import Any

from nrmbus.statistics.persons import Case
from nrmbus.wire import times


def lines_of(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """Return the facts of *cases* as an exported history has them."""
    facts = sorted((fact for case in cases for fact in case.facts), key=lambda fact: (fact.registered, fact.number))
    return [
        {
            "kind": "registration",
            "leaf": {"subject": fact.event.subject, "source": fact.event.source, "time": times.write(fact.registered)},
            "envelope": {
                "headers": {"ce_id": fact.event.id, "ce_type": f"nrm.{fact.event.type}"}
                | ({"ce_referral": fact.event.referral} if fact.event.referral else {}),
                "value": json.dumps(fact.event.data.to_mapping()),
            },
        }
        for fact in facts
    ]
