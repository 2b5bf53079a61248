"""The history of cases as one HTML document that loads nothing: to look at, to send, to print."""

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from nrmbus.auditor.history.history import Audited
from nrmbus.auditor.history.selection import Selection
from nrmbus.auditor.web.pages import shown
from nrmbus.auditor.web.pages.rendering import environment, static
from nrmbus.auditor.web.pages.words import Words


def document(
    seen: Audited, subjects: Sequence[str], chosen: Selection, *, as_of: datetime | None, now: datetime
) -> str:
    """Return the document of what is *chosen* of *subjects*, as known at *as_of*; equal histories give equal documents."""
    words = Words("en", seen.rules.profile.zone)
    views = [shown.case(seen, each, words, step=None, as_of=as_of, now=now, chosen=chosen) for each in subjects]
    template = environment(one=seen.partitions == 1, links=False).get_template("document.html.j2")
    return template.render(
        t=words,
        css=Markup(static("page.css")),  # noqa: S704 - a file of this package
        bus=seen.directory.bus,
        policy=seen.rules.profile.name,
        total=len(seen.history.entries),
        as_of=as_of,
        now=now,
        cases=[each for each in views if each["steps"]],
        questions=[reading for each in views if not each["steps"] for reading in each["readings"]],
    )
