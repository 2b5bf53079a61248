"""The wheel: what somebody else installs is what was tested."""

import lzma
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Set as AbstractSet
from email.parser import BytesParser
from importlib import metadata
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
from packaging.requirements import Requirement

import extras
from contract.test_readme import Terminal, walk
from contract.tree import ROOT, files, lay
from nrmbus.bus.folder import cache_home

FOR_A_CLONE: Final = re.compile(
    r"nrmbus/(published/(?!__init__\.py|compatibility\.py|conformance/)|play/(chaos|chaos_report|load|matching)\.py"
    r"|play/scenarios/(03|08|09|1\d)-|rules/grounds\.py)"
)
"""What only a clone has: modules that work on its `schemas/`, pages or processes, a prototype, and stories that the package itself does not play."""

PACKED: Final = "nrmbus/data.zip.xz"
"""The archive of data files in the wheel."""


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `make wheel` builds it."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_newcomer_needs_nothing_but_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """Given an empty folder and a machine that has the wheel and the libraries, then a story plays and the README's commands work.

    The folder gets the agencies and events of `deploy/`, which the page's commands name.

    The libraries are those of this environment: a package index is not asked.
    """
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    libraries = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    (libraries / "zz.pth").write_text(sysconfig.get_path("purelib") + "\n")  # after what is installed here
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True)
    home = tmp_path / "empty"
    for given in ("agencies", "examples"):
        shutil.copytree(ROOT / "deploy" / given, home / "deploy" / given)
    play = [str(python.with_name("nrmbus")), "play", "01-woman-referred-by-ngo"]
    # Kafka's jars come from this machine's cache; nothing else of it is seen.
    environment = {"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(cache_home().parent)}
    done = subprocess.run(play, cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=900)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "every expectation held" in done.stdout
    origin = [str(python), "-c", "import nrmbus; print(nrmbus.__file__)"]
    found = subprocess.run(origin, cwd=home, check=True, capture_output=True, text=True).stdout
    assert Path(found).is_relative_to(libraries), "the wheel was played, and not this checkout"
    assert walk((ROOT / "README.md").read_text(encoding="utf-8"), Terminal(tmp_path, home, python)) >= 10


def carried(wheel: Path) -> tuple[AbstractSet[str], AbstractSet[str]]:
    """Return the files of *wheel*, and those in its archive of data files, as paths below the folder of packages."""
    with zipfile.ZipFile(wheel) as archive, zipfile.ZipFile(BytesIO(lzma.decompress(archive.read(PACKED)))) as packed:
        own = {name for name in archive.namelist() if ".dist-info/" not in name} - {PACKED}
        return own, {f"nrmbus/{name}" for name in packed.namelist()}


def test_the_wheel_carries_nothing_that_finder_or_an_editor_left(tmp_path: Path) -> None:
    """Given a clone on which a translator worked, then the archive has the catalogue alone."""
    lay(tmp_path / "services" / "nrmbus" / "web" / "locale", dict.fromkeys(
        ["README.md", "en/codes.po", "en/codes.mo", "en/codes.po~", "en/._codes.po", ".DS_Store", ".idea/codes.po"], ""
    ))  # fmt: skip
    hook = runpy.run_path(str(ROOT / ".ci" / "pack.py"))["Pack"]
    given: dict[str, dict[str, str]] = {"force_include": {}}
    project = SimpleNamespace(core=SimpleNamespace(config={}, optional_dependencies={}))
    pack = hook(str(tmp_path), {"files": ["web/locale"]}, None, project, str(tmp_path), "wheel")
    pack.initialize("standard", given)
    (archive,) = given["force_include"]
    with zipfile.ZipFile(BytesIO(lzma.decompress(Path(archive).read_bytes()))) as packed:
        names = packed.namelist()
    pack.finalize("standard", given, "")

    assert names == ["web/locale/en/codes.po"]


@pytest.mark.thorough
def test_the_wheel_carries_every_file_of_the_rooms(wheel: Path) -> None:
    """Profiles, scenarios, topics and the ledger's migrations are read at run time: they travel with the code, once. Tests, the rooms' pages and what works on the files of a clone alone do not."""
    services, topics = ROOT / "services", ROOT / "deploy" / "topics"
    rooms = {
        path.relative_to(services).as_posix()
        for path in files()
        if path.is_relative_to(services / "nrmbus")
        and path.name != "README.md"
        and not FOR_A_CLONE.match(path.relative_to(services).as_posix())
    }
    declared = {
        f"nrmbus/deploy/topics/{path.name}" for path in files() if path.parent == topics and path.suffix == ".yaml"
    } | {
        "nrmbus/deploy/quotas.yaml",
        "nrmbus/deploy/agencies/az-example.yaml",
    }
    own, packed = carried(wheel)

    assert own | packed == rooms | declared
    assert own & packed == set()


@pytest.mark.thorough
def test_what_is_packed_in_the_wheel_is_read_there(wheel: Path, tmp_path: Path) -> None:
    """Given the wheel as it is unpacked, then words, styles, stories and the text of the Rules are those of the clone."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import nrmbus
assert nrmbus.__file__.startswith(sys.argv[1])
from nrmbus.auditor.web.pages.rendering import static as auditors
from nrmbus.bus.embedded.jars import pinned
from nrmbus.bus.kafka.declarations import load_declarations
from nrmbus.desk.web.work.queues import files
from nrmbus.public.site import _static as publics
from nrmbus.packed import packed
from nrmbus.play.reader import find, read
from nrmbus.rules import load_profile
from nrmbus.rules.handbook.citations import rules_text
from nrmbus.rules.profile_files import profile_names
from nrmbus.web.look import environment, static
from nrmbus.web.languages import LANGUAGES
from nrmbus.web.words import catalogues
from nrmbus.desk.http.page import environment_of, policy
words = [(each.domain, len(each)) for language in LANGUAGES for each in catalogues(language)]
home = Path(nrmbus.__file__).parent
templates = {"desk/web/acts": "acts/fields.html.j2", "auditor/web/pages": "event.html.j2", "public": "write.html.j2", "web": "components/rules.html.j2"}
pages = [environment(home / room / "templates").loader.get_source(None, name)[0] for room, name in templates.items()]
pages += [environment_of(home / room / "templates").loader.get_source(None, "page.html.j2")[0] for room in ("desk/http",)] + [policy()]
story = read(find(Path("01-woman-referred-by-ngo")))
rules = [(name, load_profile(name).digest) for name in profile_names()]
lists = [(room, [each.empty.lead for each in file.queues], [each.name for each in file.boards], sorted(file.tasks.items())) for room, file in files().items()]
shown = [auditors("auditor.css"), publics("public.js")[0], packed("auditor/evidence/evidence.md").read_bytes(), packed("statistics/exported.md").read_bytes()]
others = [pinned(), load_declarations(), lists, shown, *(packed(each).read_text(encoding="utf-8") for each in ("cli/audit/person_report.yaml",))]
print(hashlib.sha256(repr((rules, words, others, pages, static("page.css"), story.title, len(story.steps), rules_text())).encode()).hexdigest())
"""
    said = [
        subprocess.run([sys.executable, "-c", program, where], capture_output=True, text=True, check=True).stdout
        for where in (str(tmp_path), str(ROOT / "services"))
    ]

    assert said[0] == said[1]


@pytest.mark.thorough
def test_forks_read_what_is_packed_at_the_same_time(wheel: Path, tmp_path: Path) -> None:
    """Given services that are forks of one process, as `nrmbus up` starts them, then each reads its data files beside the others."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = """
import os, sys
sys.path.insert(0, sys.argv[1])
from nrmbus.packed import packed
stories = packed("play/scenarios")
texts = sorted(each.read_bytes() for each in stories.iterdir())

def reads_all():
    return all(sorted(each.read_bytes() for each in stories.iterdir()) == texts for _ in range(20))

forks = []
for _ in range(6):
    if not (fork := os.fork()):
        os._exit(0 if reads_all() else 1)
    forks.append(fork)
sys.exit(sum(os.waitpid(fork, 0)[1] != 0 for fork in forks))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False, timeout=900
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_wheel_asks_for_what_the_project_says(wheel: Path) -> None:
    """Given an extra that has another one, then the wheel names that one, and an installer follows the name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(wheel) as archive:
        (told,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        asked = BytesParser().parsebytes(archive.read(told)).get_all("Requires-Dist")

    assert sorted(map(str, map(Requirement, asked or ()))) == sorted(
        str(Requirement(each if extra is None else _if_asked(each, extra)))
        for extra, due in ((None, project["dependencies"]), *project["optional-dependencies"].items())
        for each in due
    )


def _if_asked(requirement: str, extra: str) -> str:
    name, _, marker = requirement.partition(";")
    return f"{name}; ({marker}) and extra == '{extra}'" if marker else f"{name}; extra == '{extra}'"


def test_a_plain_install_takes_less_than_15_megabytes(wheel: Path) -> None:
    """The wheel and the packages of the SDK, as unpacked, with what a package index tells of them; Python's bytecode beside them may be removed."""
    theirs = (
        path.stat().st_size
        for name in extras.packages("client") - {"nrmbus"}
        for file in metadata.distribution(name).files or ()
        if file.suffix != ".pyc" and (path := Path(str(file.locate()))).is_file()
    )
    with zipfile.ZipFile(wheel) as archive:
        ours = sum(each.file_size for each in archive.infolist())

    assert 5_000_000 < sum(theirs) + ours < 15_000_000
