"""The history of cases as one HTML document that loads nothing: to look at, to send, to print."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from markupsafe import Markup

from nrmbus.auditor.history.history import Audited
from nrmbus.auditor.history.selection import Selection
from nrmbus.auditor.web.pages import shown
from nrmbus.auditor.web.pages.rendering import environment, static
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.web.words import Words


def document(
    seen: Audited, subjects: Iterable[str], chosen: Selection, *, as_of: datetime | None, now: datetime
) -> Iterator[str]:
    """Yield, piece by piece, the document of what is *chosen* of *subjects*, as known at *as_of*.

    A piece may be empty: the caller can do other work after each. Equal histories give equal documents.
    """
    words = Words("en", **facts_of(seen.rules.profile_at(now)))
    views = []
    for each in subjects:
        views.append(shown.case(seen, each, words, step=None, as_of=as_of, now=now, chosen=chosen))
        yield ""
    template = environment(one=seen.partitions == 1, links=False).get_template("document.html.j2")
    yield from template.generate(
        t=words,
        css=Markup("".join(static(name)[0].decode() for name in ("document.css", "auditor.css"))),  # noqa: S704 - files of this package
        bus=seen.directory.bus,
        policy=", ".join(each.name for each in seen.rules.profiles),
        total=len(seen.history.entries),
        as_of=as_of,
        now=now,
        cases=[each for each in views if each["steps"]],
        questions=[reading for each in views if not each["steps"] for reading in each["readings"]],
    )
