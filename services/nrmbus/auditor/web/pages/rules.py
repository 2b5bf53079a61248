"""Pages of the Rules at the auditor: about no case and no person, so that a question about them is not recorded."""

from collections.abc import Sequence

from nrmbus.auditor.web.pages.answers import Shown
from nrmbus.auditor.web.pages.visit import Visit
from nrmbus.rules import Profile
from nrmbus.rules.handbook.lookup import PAGE_WORDS, book, facts_of, has_words, looked_up
from nrmbus.web.rules import title
from nrmbus.web.words import Words


async def rules_shown(profiles: Sequence[Profile], visit: Visit) -> Shown:
    """Return the page of the rule, deadline, event or status of the address; of a name that there is not, all of them.

    Without another name in the address it shows the first of *profiles*, which is in force.
    """
    asked = visit.request.query_params.get("profile", "")
    profile = next((each for each in profiles if each.name == asked), profiles[0])
    query = "" if profile is profiles[0] else f"?profile={profile.name}"
    t = Words(visit.t.language, **facts_of(profile))
    found = looked_up(profile, str(visit.request.path_params.get("name", "")))
    shared = {"t": t, "words": PAGE_WORDS, "link": lambda name: f"/rules/{name}{query}", "known": has_words}
    if found is None:
        others = [(each.name, f"/rules?profile={each.name}") for each in profiles if each is not profile]
        return Shown("rules.html.j2", None, {"book": book(profile), "others": others, **shared})
    return Shown("rule.html.j2", None, {"found": found, "title": title(t, found.kind, found.name), **shared})
