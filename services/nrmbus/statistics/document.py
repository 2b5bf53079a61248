"""Figures of one period as one self-contained HTML document: to publish, to send, to print."""

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment
from markupsafe import Markup

from nrmbus.events.figures import Release
from nrmbus.statistics.shown import period_name, shown
from nrmbus.web import look
from nrmbus.web.words import Words

TEMPLATES: Final = Path(__file__).parent / "templates"
_STYLES: Final = ("govuk-frontend.css", "page.css")


def document(release: Release, t: Words) -> str:
    """Return *release* as a document in the language of *t*. The same release gives the same document."""
    sections = shown(release, t)
    return (
        _environment()
        .get_template("figures/document.html.j2")
        .render(
            t=t,
            css=Markup("".join(look.static(name)[0].decode() for name in _STYLES)),  # noqa: S704 - files of this package
            title=t("Figures for {period}", period=period_name(t, release.period)),
            figures=release,
            sections=sections,
            has_change=any(table.has_change for each in sections for table in each.tables),
        )
    )


@cache
def _environment() -> Environment:
    return look.environment(TEMPLATES)
