"""Local days: when a day ends, and which days are worked. Sources: the profile's ``calendar``, the tables in ``holidays/``."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from nrmbus.packed import packed
from nrmbus.rules.profile import Profile, ProfileError

_TABLES: Final = packed("rules/holidays")
ONE_DAY = timedelta(days=1)
LAST = datetime.max.replace(microsecond=0, tzinfo=UTC)
"""The last instant there is."""
FIRST = datetime.min.replace(tzinfo=UTC)
"""The first instant there is."""


def later(instant: datetime, by: timedelta) -> datetime:
    """Return *instant* moved on *by* that much; `LAST` if that lies beyond the last instant there is.

    Nobody says such a time in earnest. A history in which somebody does still has to be read to its end.
    """
    try:
        return min(instant + by, LAST)
    except OverflowError:
        return LAST


def lasting(*, hours: int = 0, minutes: int = 0) -> timedelta:
    """Return a span of that many hours and minutes; the longest span there is if it would be longer.

    Numbers of a profile have no upper limit, since a profile that is in force has to load; `nrmbus rules check` names those
    that cannot be meant.
    """
    try:
        return timedelta(hours=hours, minutes=minutes)
    except OverflowError:
        return timedelta.max


@cache
def countries() -> frozenset[str]:
    """Return the countries whose public holidays this release has, by the two letters of ISO 3166."""
    names = (each.name for each in _TABLES.iterdir())  # Finder may have left a file of its own
    return frozenset(name.removesuffix(".txt") for name in names if name.endswith(".txt") and name[0] != ".")


@cache
def holidays_of(country: str) -> frozenset[date]:
    """Return the public holidays of *country*, days in lieu included; none before 1990 and after 2100.

    They are data of the release, so every agency counts the same working days (decision 0089).

    Raises:
        ProfileError: the release has no holidays of *country*.
    """
    if country not in countries():
        raise ProfileError(f"this release has no holidays of {country}: nrmbus rules check says what to write")
    years = (line.split() for line in _TABLES.joinpath(f"{country}.txt").read_text(encoding="ascii").splitlines())
    return frozenset(date.fromisoformat(f"{year}-{day}") for year, *days in years for day in days)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days of one zone. All instants in and out are UTC."""

    zone: ZoneInfo
    weekend: frozenset[int]
    off: frozenset[date]
    worked: frozenset[date]
    public: frozenset[date]
    _known: dict[date, bool] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, profile: Profile) -> "Calendar":
        """Return the calendar of *profile*."""
        rule = profile.calendar
        return cls(
            zone=profile.zone,
            weekend=frozenset(rule.weekend),
            off=frozenset(map(date.fromisoformat, rule.days_off)),
            worked=frozenset(map(date.fromisoformat, rule.working_days)),
            public=holidays_of(rule.country) if rule.country else frozenset(),
        )

    def day(self, instant: datetime) -> date:
        """Return the local day of *instant*, limited to the first and last day of `date`."""
        try:
            return instant.astimezone(self.zone).date()
        except OverflowError:
            return instant.date()

    def is_worked(self, day: date) -> bool:
        """Return whether *day* is a working day; the profile's own days override weekend and holidays."""
        if day not in self._known:
            self._known[day] = day in self.worked or not (
                day in self.off or day.weekday() in self.weekend or day in self.public
            )
        return self._known[day]

    def days_after(self, instant: datetime, days: int) -> datetime:
        """24:00 of the day *days* calendar days after that of *instant*; `LAST` if that lies beyond."""
        try:
            return self.ends(self.day(instant) + ONE_DAY * days)
        except OverflowError:
            return LAST

    def begins(self, day: date) -> datetime:
        """00:00 of *day*; the first instant there is if that lies before it."""
        try:
            return datetime.combine(day, time(), self.zone).astimezone(UTC)
        except OverflowError:
            return FIRST

    def ends(self, day: date) -> datetime:
        """24:00 of *day*; `LAST` after the last day there is."""
        return LAST if day == date.max else self.begins(day + ONE_DAY)

    def working_day_after(self, day: date, number: int) -> date:
        """Return the *number*-th working day after *day*; *day* itself for 0, at most the last day of `date`."""
        while number > 0 and day < date.max:
            day += ONE_DAY
            number -= self.is_worked(day)
        return day

    def working_days_between(self, after: date, until: date) -> int:
        """Return the number of working days after *after*, up to and including *until*."""
        return sum(self.is_worked(after + ONE_DAY * i) for i in range(1, (until - after).days + 1))

    def months_after(self, day: date, months: int) -> date:
        """Return the same day *months* later, or the last day of a shorter month; at most the last day of `date`."""
        years, month = divmod(day.month - 1 + months, 12)
        year = day.year + years
        if year >= date.max.year:
            return date.max
        last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - ONE_DAY).day
        return date(year, month + 1, min(day.day, last))
