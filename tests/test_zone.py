"""Time zones: the same on every machine of a bus."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from nrmbus.rules import profile_text, read_profile
from nrmbus.zone import zone_of

NIGHT = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
"""Half an hour before clocks in the European Union are set back, and those in Moldova with them."""


@pytest.fixture
def old_machine(tmp_path: Path) -> Iterator[None]:
    """A machine on which each zone of the list is read from a file of other rules."""
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Chisinau").write_bytes(
        (resources.files("tzdata") / "zoneinfo" / "Asia" / "Tokyo").read_bytes()
    )
    zoneinfo.reset_tzpath([str(tmp_path)])
    ZoneInfo.clear_cache()
    zone_of.cache_clear()
    yield
    zoneinfo.reset_tzpath()
    ZoneInfo.clear_cache()
    zone_of.cache_clear()


@pytest.mark.usefixtures("old_machine")
def test_a_machine_with_old_zone_files_counts_the_same_days() -> None:
    """Given zone files with other rules on the machine, then the days of a profile begin and end as at every other agency."""
    zone = read_profile(profile_text("md@2014-03-28")).zone

    assert NIGHT.astimezone(ZoneInfo("Europe/Chisinau")).utcoffset() == timedelta(hours=9)
    assert NIGHT.astimezone(zone).utcoffset() == timedelta(hours=3)
    assert (NIGHT + timedelta(hours=1)).astimezone(zone).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("name", ["", "Asia", "Asia/Nowhere", "../zones", "Asia/../Asia/Baku", "asia/baku"])
def test_what_is_no_zone(name: str) -> None:
    """Given a name that the list does not have, a folder of zones or a path, then no file is opened."""
    with pytest.raises(ZoneInfoNotFoundError):
        zone_of(name)
