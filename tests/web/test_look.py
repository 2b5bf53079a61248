"""The look of the pages: everything is escaped, a name that a template does not know is an error, nothing comes from elsewhere."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from nrmbus.web.look import STATIC, environment, static


def test_a_component_takes_what_it_is_given_and_escapes_it() -> None:
    """A macro of GOV.UK's asks for parameters that are not there, and text is never markup."""
    template = '{% from "govuk_frontend_jinja/components/button/macro.html" import govukButton %}{{ govukButton({"text": word}) }}'

    shown = environment().from_string(template).render(word="<b>Go")

    assert "&lt;b&gt;Go" in shown
    assert 'class="govuk-button"' in shown


@pytest.mark.parametrize(
    ("component", "macro"),
    [
        ("fieldset", "govukFieldset"),
        ("notification-banner", "govukNotificationBanner"),
        ("error-summary", "govukErrorSummary"),
    ],
)
def test_a_component_may_be_called_without_content_or_kind(component: str, macro: str) -> None:
    """GOV.UK's macros ask whether they have content of their caller, or whether a banner is one of success."""
    template = f'{{% from "govuk_frontend_jinja/components/{component}/macro.html" import {macro} %}}{{{{ {macro}({{"html": "x"}}) }}}}'

    assert f"govuk-{component}" in environment().from_string(template).render()


@pytest.mark.parametrize(
    "template", ["{{ nothing }}", "{{ place.nothing }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}"]
)
def test_a_name_that_is_not_there_is_an_error(template: str) -> None:
    """A misspelt name of a page does not become an empty place."""
    with pytest.raises(UndefinedError):
        environment().from_string(template).render(place=Path("/"))


def test_the_style_of_gov_uk_comes_without_its_typeface_and_crest() -> None:
    """Only gov.uk may use both; and no style loads anything."""
    for path in (each for each in STATIC.iterdir() if each.name.endswith(".css")):
        style = path.read_text(encoding="utf-8")
        assert not re.search(r"@font-face|GDS Transport|crest\.svg|@import|url\((?!data:)", style)
    assert '--govuk-frontend-version:"6.3.0"' in static("govuk-frontend.css")[0].decode()


def test_the_script_of_gov_uk_is_there() -> None:
    """`page.js` starts the components of the version that the macros belong to."""
    script = static("govuk-frontend.js")[0].decode()

    assert re.search(r"export\{[^}]*\binitAll\b", script)
    assert "6.3.0" in script
    assert "sourceMappingURL" not in script
