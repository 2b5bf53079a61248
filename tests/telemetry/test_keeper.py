"""Spans kept on the machine: a closed list, in files that are bounded, private, and read whatever was torn."""

import json
from pathlib import Path

import pytest

from nrmbus.telemetry import keeper, trace
from nrmbus.telemetry.keeper import Keeper, kept
from nrmbus.telemetry.span import Span

CANARY = "CANARY-she-may-not-leave"
SPAN = Span(
    "a" * 32, "b" * 16, "c" * 16, (), "process", "consumer", "special-unit", 1_000, 2_000,
    "referral.submitted", "019cad0f-7f80-7ad8-9e34-2d4f9362444c", "handled", "",
)  # fmt: skip


def keep(home: Path, *spans: Span) -> None:
    """Have a service at *home* keep *spans*, and end."""
    service = Keeper(home)
    for span in spans:
        service.keep(span)
    service.close()


def numbered(first: int, last: int) -> list[Span]:
    """Spans that can be told apart."""
    return [SPAN._replace(id=f"{number:016x}", start=number, end=number + 1) for number in range(first, last)]


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    """Everything of it; by a text in it too."""
    commit = SPAN._replace(id="d" * 16, parent="", type="", event="", outcome="", links=(f"{'a' * 32}-{'b' * 16}",))
    keep(tmp_path, SPAN, commit)

    assert list(kept(tmp_path)) == [SPAN, commit]
    assert list(kept(tmp_path, SPAN.event)) == [SPAN]
    assert list(kept(tmp_path, "019cad10")) == []


def test_a_line_has_known_members_only(tmp_path: Path) -> None:
    """P9: no case, no record key, no text; a member that somebody added is not read, and a text of another shape spoils the line."""
    body = json.loads(SPAN.line())
    assert body.keys() <= set(Span._fields)
    path = tmp_path / "spans" / "spans.jsonl"
    path.parent.mkdir()
    lines = [{**body, "case": CANARY}, *({**body, name: CANARY + "<b>"} for name in body), {**body, "links": CANARY}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert list(kept(tmp_path)) == [SPAN]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """Who dealt with which event, and when, is nobody else's business."""
    keep(tmp_path, SPAN)
    folder = tmp_path / "spans"

    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "spans.jsonl")] == [0o700, 0o600]


def test_the_oldest_go_first_and_the_files_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is said, two files of a bounded size."""
    monkeypatch.setattr(keeper, "FULL", 10_000)
    monkeypatch.setattr(keeper, "AT_ONCE", 10)
    keep(tmp_path, *numbered(0, 500))
    sizes = [path.stat().st_size for path in (tmp_path / "spans").iterdir()]
    found = list(kept(tmp_path))

    assert len(sizes) <= 2
    assert max(sizes) < 10_000 + 10 * len(SPAN.line())
    assert found == numbered(500 - len(found), 500)
    assert len(found) > 10_000 // len(SPAN.line())


@pytest.mark.parametrize("torn", [SPAN.line()[:40], b"[]\n", b"\xff\x00\n", b"[" * 100_000 + b"\n"])
def test_what_was_torn_costs_nothing_else(tmp_path: Path, torn: bytes) -> None:
    """A service that was killed while it wrote leaves half a line; what it writes after that is whole."""
    first, second = numbered(0, 2)
    keep(tmp_path, first)
    with (tmp_path / "spans" / "spans.jsonl").open("ab") as file:
        file.write(torn)
    keep(tmp_path, second)

    assert list(kept(tmp_path)) == [first, second]


def test_a_disk_that_takes_nothing_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trail never depends on spans: the service goes on, and its log says once that they are lost."""
    monkeypatch.setattr(keeper, "AT_ONCE", 1)
    monkeypatch.setattr(keeper, "EVERY_SECONDS", 0)
    (tmp_path / "spans").write_text("in the way")
    keep(tmp_path, SPAN, SPAN, SPAN)

    said = capsys.readouterr().out
    assert said.count("spans_not_kept") == 1
    assert list(kept(tmp_path)) == []


@pytest.mark.parametrize(("setting", "expected"), [("keep", 1), ("off", 0), (None, 1)])
def test_a_setting_keeps_them_off_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None, expected: int
) -> None:
    """NRMBUS_SPANS=off; kept unless told otherwise."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("NRMBUS_SPANS", raising=False)
    if setting:
        monkeypatch.setenv("NRMBUS_SPANS", setting)
    trace.set_up_trace("ngo-a", tmp_path)
    with trace.produced("referral.submitted", "e-1"):
        pass
    trace.shut_down()

    assert [span.service for span in kept(tmp_path)] == ["ngo-a"] * expected
