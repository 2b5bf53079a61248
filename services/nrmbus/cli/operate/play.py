"""``nrmbus play``: plays a scenario file and prints the story; exits 0 only if every expectation held."""

import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder, data_home
from nrmbus.bus.private_files import make_private
from nrmbus.cli.commands import Commands
from nrmbus.cli.operate.foreground import progress_bar, until_told
from nrmbus.cli.operate.scaled import print_figures
from nrmbus.cli.options import Data
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.bus import BusStage, newcomers_of
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play as play_scenario
from nrmbus.play.reader import ScenarioError, find, read
from nrmbus.play.scale import NoCase
from nrmbus.play.scenario import Scenario
from nrmbus.play.stage import Stage
from nrmbus.play.table import Storyteller
from nrmbus.wire.names import STATISTICS

app = Commands()

FAILED: Final = 1
"""Exit status if an expectation did not hold."""
NOT_PLAYED: Final = 2
"""Exit status if there was nothing to play."""


@app.register(example="nrmbus play 01-woman-referred-by-ngo --memory")
def play(
    file: Annotated[Path, typer.Argument(help="A scenario file, or the name of a scenario that comes with nrmbus.")],
    *,
    memory: Annotated[
        bool, typer.Option("--memory", help="Play in memory, without Kafka; this tests the Rules only.")
    ] = False,
    data: Data = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Continue after a step that fails.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as one JSON object.")] = False,
    scale: Annotated[
        int | None,
        typer.Option(
            "--scale",
            min=1,
            max=100_000,
            help="Make so many cases out of the scenario, and print their figures. Needs --memory.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="With --scale: make the same cases again. Default: another each time."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="With --scale: write the releases of figures into this folder, as JSON."),
    ] = None,
) -> None:
    """Play a scenario and print its story: step, time, agency, event, result, receivers.

    With --scale, the scenario is played once, and its cases are copied with other persons, agencies and dates over three
    years. Figures of each year are then counted and printed.

    Exit status: 0 if every expectation held, 1 if one did not, 2 if there was nothing to play.
    """
    try:
        scenario = read(find(file))
    except (ScenarioError, OSError) as error:
        _fail(str(error))
    if scale is not None:
        if not memory:
            _fail("--scale makes cases in memory, and puts none on a bus: add --memory.")
        try:
            print_figures(scenario, scale, secrets.randbelow(10**6) if seed is None else seed, figures)
        except NoCase as error:
            _fail(str(error))
        return
    if memory:
        raise typer.Exit(_play(scenario, MemoryBus(), keep_going=keep_going, as_json=as_json))
    if counting := [id for id, each in scenario.agencies.items() if each.role == STATISTICS]:
        _fail(
            f"{counting[0]}: a played bus starts its own statistics if a step checks figures; add --memory, or remove the agency."
        )
    green = FAILED  # Ctrl-C ends the story, and the bus, without a result
    with _stage(scenario, data) as stage:
        green = _play(scenario, stage, keep_going=keep_going, as_json=as_json)
    raise typer.Exit(green)


def _play(scenario: Scenario, stage: Stage, *, keep_going: bool, as_json: bool) -> int:
    """Play the scenario, print the story, and return the exit status."""
    storyteller = Storyteller(scenario, Console(stderr=as_json, quiet=as_json))
    storyteller.begin()
    started = time.monotonic()
    report = play_scenario(scenario, stage, keep_going=keep_going, notify=storyteller.show)
    storyteller.end(report, time.monotonic() - started)
    if as_json:
        sys.stdout.write(json.dumps(report.to_mapping(), ensure_ascii=False, indent=2) + "\n")
    return 0 if report.green else FAILED


@contextmanager
def _stage(scenario: Scenario, data: Path | None) -> Iterator[BusStage]:
    """Yield the running bus in *data*, or start a bus there, or start a fresh bus that stays for inspection."""
    folder = BusFolder(data) if data else None
    if folder is None:
        plays = make_private(data_home() / "plays")
        folder = BusFolder(Path(tempfile.mkdtemp(dir=plays, prefix=f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}-")))
    running = False
    if folder.exists:
        with suppress(NoBus):
            running = bool(folder.bootstrap) and (folder.run / "services.json").exists()
    if running:
        with BusStage(folder) as stage:
            yield stage
        return
    agencies = {}
    if not folder.exists:
        folder.create(play=True, policy=scenario.policy)
        agencies = newcomers_of(scenario.agencies)  # their desks start together with the services of the bus
    with until_told(), progress_bar() as progress, Supervisor(folder, agencies=agencies, progress=progress):
        try:
            with BusStage(folder) as stage:
                yield stage
        finally:
            typer.echo(f"The bus stays in {folder.path}", err=True)


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(NOT_PLAYED)
