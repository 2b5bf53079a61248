"""Public holidays as the library ``holidays`` computes them: for the tables of a release, and for a profile of one's own.

Nothing that judges asks the library: its next version may know other days, and takes 10 MiB in a desk (decision 0089).
"""

from collections.abc import Iterable
from datetime import date
from itertools import groupby

import holidays

from nrmbus.rules.profile import ProfileError


def table(country: str) -> str:
    """Return the text of ``rules/holidays/COUNTRY.txt``: a line for each year that the library knows, with month and day of each holiday.

    Raises:
        ProfileError: the library does not know *country*.
    """
    known = _of(country)
    found = sorted(holidays.country_holidays(country, years=range(known.start_year, known.end_year + 1)))
    years = groupby(found, key=lambda day: day.year)
    return "".join(" ".join([str(year), *(f"{day:%m-%d}" for day in days)]) + "\n" for year, days in years)


def named(country: str, years: Iterable[int]) -> dict[date, str]:
    """Return the holidays of *country* in *years* with their names in English, where the library has them, in order.

    Raises:
        ProfileError: the library does not know *country*.
    """
    english = "en_US" if "en_US" in _of(country).supported_languages else None
    return dict(sorted(holidays.country_holidays(country, years=years, language=english).items()))


def _of(country: str) -> holidays.HolidayBase:
    if country not in holidays.list_supported_countries():
        raise ProfileError(
            f"the library `holidays` knows no country {country}: write two letters of ISO 3166, such as AZ"
        )
    return holidays.country_holidays(country)
