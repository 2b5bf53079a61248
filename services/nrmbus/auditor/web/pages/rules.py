"""Pages of the Rules at the auditor: about no case and no person, so that a question about them is not recorded."""

from nrmbus.auditor.web.pages.answers import Shown
from nrmbus.auditor.web.pages.visit import Visit
from nrmbus.rules import Profile
from nrmbus.rules.handbook.lookup import PAGE_WORDS, book, has_words, looked_up
from nrmbus.web.rules import title


async def rules_shown(profile: Profile, visit: Visit) -> Shown:
    """Return the page of the rule, deadline, event or status of the address; of a name that there is not, all of them."""
    found = looked_up(profile, str(visit.request.path_params.get("name", "")))
    shared = {"words": PAGE_WORDS, "link": "/rules/{}".format, "known": has_words}
    if found is None:
        return Shown("rules.html.j2", None, {"book": book(profile), **shared})
    return Shown("rule.html.j2", None, {"found": found, "title": title(visit.t, found.kind, found.name), **shared})
