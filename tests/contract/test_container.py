"""The image's Containerfile: what a reader of it may rely on. An image is built only where an engine has its base; no registry of images is asked."""

import fnmatch
import json
import re
import secrets
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.tree import ROOT, files, lay
from nrmbus.cli.app import COMMANDS, loaded

FILE = ROOT / "deploy" / "container" / "Containerfile"
NOBODY = 10_000
"""Below this a number may be an account of the host."""
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
WHEEL = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]


BASE = re.findall(r"^ARG PYTHON=(\S+)", FILE.read_text(encoding="utf-8"), re.MULTILINE)[0]
CLOSED = [
    "--read-only",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
    "--network",
    "none",
    "--tmpfs",
    "/tmp",
]


def done(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run *command* to its end, and return what it said."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


ENGINES = [
    each for each in ("podman", "docker") if shutil.which(each) and not done(each, "image", "inspect", BASE).returncode
]
"""Container engines that are there and have the base: a test pulls none."""


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Containerfile, each with its argument on one line."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word
    ]


def stages(text: str) -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage, with its FROM first."""
    found: list[list[tuple[str, str]]] = [[]]
    for word, rest in instructions(text):
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found[1:]


def let_in(ignored: str, root: Path) -> set[str]:
    """Return the files below *root* that a list of ignored files lets into a build, as engines read it: the last match wins."""
    allowed = set()
    for path in files(root):
        name, inside = path.relative_to(root).as_posix(), True
        for line in ignored.splitlines():
            pattern = line.removeprefix("!")
            prefixes = [name[: at.start()] for at in re.finditer("/", name)] + [name]
            if line and line[0] != "#" and any(fnmatch.fnmatch(each, pattern) for each in prefixes):
                inside = line.startswith("!")
        if inside:
            allowed.add(name)
    return allowed


def faults(text: str) -> list[str]:
    """Return what is wrong with a Containerfile: a moving base, an account with a name, a shell at run time, root's own image."""
    last = dict(stages(text)[-1])
    bases = [rest.partition("=")[2] for word, rest in instructions(text) if (word, rest[:7]) == ("ARG", "PYTHON=")]
    found = [
        f"the base {base} moves" for base in bases if not re.search(r"(@sha256:[0-9a-f]{64}|:\d+\.\d+-slim-\w+)$", base)
    ]
    if not bases:
        found.append("no base")
    user = re.fullmatch(r"(\d+):(\d+)", last.get("USER", ""))
    if not (user and min(map(int, user.groups())) >= NOBODY):
        found.append("the user is no high number")
    found += [f"{word} needs a shell" for word in ("ENTRYPOINT", "CMD") if not last.get(word, "").startswith("[")]
    if " CMD [" not in last.get("HEALTHCHECK", ""):
        found.append("HEALTHCHECK needs a shell, or is none")
    if any(word in ("RUN", "ADD") for word, _ in stages(text)[-1]):
        found.append("the shipped stage runs something")
    return found


def test_it_is_as_closed_as_it_says() -> None:
    """The base is named by release, the account is a high number, and neither start nor health check needs a shell."""
    assert faults(FILE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("python:3.13-slim-trixie", "python:latest", "the base docker.io/library/python:latest moves"),
        ("USER 65532:65532", "USER nrmbus", "the user is no high number"),
        ("USER 65532:65532", "USER 0:0", "the user is no high number"),
        ('ENTRYPOINT ["nrmbus"]', "ENTRYPOINT nrmbus", "ENTRYPOINT needs a shell"),
        ('CMD ["nrmbus", "status", "--ready"]', "CMD nrmbus status", "HEALTHCHECK needs a shell, or is none"),
        ("STOPSIGNAL SIGTERM", "RUN apt-get update", "the shipped stage runs something"),
    ],
)
def test_an_open_door_is_found(before: str, after: str, fault: str) -> None:
    """Sabotage: each of these is named."""
    text = FILE.read_text(encoding="utf-8")
    assert before in text

    assert faults(text.replace(before, after)) == [fault]


def test_it_is_healthy_while_it_moves() -> None:
    """The health check is a command that there is, with an option that it has: it asks the services, and no port."""
    check = dict(stages(FILE.read_text(encoding="utf-8"))[-1])["HEALTHCHECK"].partition(" CMD ")[2]
    program, command, option = json.loads(check)

    assert (program, command in COMMANDS) == ("nrmbus", True)
    assert option in [flag for each in loaded(command).params for flag in each.opts]


def test_it_has_what_the_wheel_needs_and_no_more() -> None:
    """Given the list of ignored files, then all that is copied comes in; tests, keys and data do not. Docker reads the same list."""
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8")
    inside = let_in(ignored, ROOT)
    copied = [
        source.removeprefix("./")
        for word, rest in stages(FILE.read_text(encoding="utf-8"))[0]
        if word == "COPY"
        for source in rest.split()[:-1]
    ]

    assert [source for source in copied if not any(f"{name}/".startswith(f"{source}/") for name in inside)] == []
    assert {name.partition("/")[0] for name in inside} == {source.partition("/")[0] for source in copied}
    assert not [name for name in inside if name.startswith("deploy/") and not name.startswith(tuple(copied))]
    assert (ROOT / ".dockerignore").read_text(encoding="utf-8") == ignored
    built = {*WHEEL["force-include"], WHEEL["hooks"]["custom"]["path"], PROJECT["readme"], *PROJECT["license-files"]}
    needed = [*built, "pyproject.toml", "constraints.txt"]
    assert [each for each in needed if not any(f"{name}/".startswith(f"{each}/") for name in inside)] == []


def test_a_key_beside_the_code_stays_out(tmp_path: Path) -> None:
    """Sabotage: what lies in a clone by accident does not come into an image."""
    tree = dict.fromkeys(["bus.key", "my-bus/keys/operator.seed", "deploy/compose/keys", "services/nrmbus/a.py"], "x")
    lay(tmp_path, tree)

    assert let_in((ROOT / ".containerignore").read_text(encoding="utf-8"), tmp_path) == {"services/nrmbus/a.py"}


def test_the_labels_are_those_of_the_package() -> None:
    """A registry shows the name, version and licence of the package."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', FILE.read_text(encoding="utf-8")))

    assert (labels["title"], labels["version"], labels["licenses"]) == tuple(
        PROJECT[key] for key in ("name", "version", "license")
    )


@pytest.fixture(name="image", params=ENGINES)
def _image(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Engine, and the image that it built from this tree."""
    engine, name = request.param, f"nrmbus-test:{secrets.token_hex(4)}"
    form = ["--format", "docker"] if engine == "podman" else []
    built = done(engine, "build", "--network", "host", *form, "--file", str(FILE), "--tag", name, str(ROOT))
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    yield engine, name
    done(engine, "rmi", "--force", name)


@pytest.mark.oracle
@pytest.mark.slow
def test_an_engine_runs_it_as_closed_as_it_says(image: tuple[str, str]) -> None:
    """Given Podman or Docker, then the image works as its number without root, rights and network, and says that it is not healthy.

    Where no engine has the base, pytest says so.
    """
    engine, name = image
    run = [engine, "run", "--rm", *CLOSED]

    listed = done(*run, name, "schema", "list")
    assert (listed.returncode, "nrm.case.signal_recorded" in listed.stdout) == (0, True), listed.stderr
    who = done(
        *run,
        "--entrypoint",
        "/opt/nrmbus/bin/python",
        name,
        "-c",
        "import os; print(os.getuid(), os.access('/', os.W_OK))",
    )
    assert who.stdout.split() == ["65532", "False"], who.stderr
    ready = done(*run, name, "status", "--ready")
    assert (ready.returncode, "No bus was made" in ready.stderr) == (1, True), ready.stderr
