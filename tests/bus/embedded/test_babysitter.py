"""A program under the babysitter never outlives the process that asked for it."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nrmbus.bus.embedded import babysitter
from patience import PATIENCE, lives, until

KEEPER = [sys.executable, "-S", "-E", "-I", str(Path(babysitter.__file__))]
SLEEPS = "import time; time.sleep(60)"
IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
)
HAS_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(61)"])
with open(sys.argv[1], "w") as file:
    print(child.pid, file=file)
child.wait()
"""


@contextmanager
def kept(program: str, *arguments: str, grace: float = 5.0) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A keeper with the Python *program*, and the program's pid."""
    command = [*KEEPER, str(grace), sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_the_program_ends_when_its_parent_lets_go() -> None:
    """The end of the pipe is the end of the program, and soon."""
    with kept(SLEEPS) as (process, pid):
        assert lives(pid)
        assert process.stdin
        process.stdin.close()

        until("the program ends", lambda: not lives(pid))
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM


@pytest.mark.thorough
def test_a_program_that_has_hardly_begun_ends_at_once_too() -> None:
    """Asked before the program is itself: the keeper's own way with the signal must not swallow it."""
    for _ in range(20):
        with kept(SLEEPS) as (process, _pid):
            assert process.stdin
            process.stdin.close()

            assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_nothing_outlives_a_parent_that_was_killed() -> None:
    """kill -9 of the parent: it says nothing, and the program ends all the same."""
    parent = textwrap.dedent(f"""
        import subprocess, sys, time
        keeper = subprocess.Popen({[*KEEPER, "5", sys.executable, "-c", SLEEPS]!r}, stdin=subprocess.PIPE)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)

        until("the program ends", lambda: not lives(pid))


def test_children_of_the_program_end_with_it(tmp_path: Path) -> None:
    """The whole group is ended, not the one process that we know."""
    noted = tmp_path / "child"
    with kept(HAS_A_CHILD, str(noted)) as (process, pid):
        until("it has started a child", lambda: noted.exists() and noted.read_text().endswith("\n"))
        child = int(noted.read_text())
        assert lives(child)
        assert process.stdin
        process.stdin.close()

        until("both end", lambda: not lives(pid) and not lives(child))


def test_a_program_that_does_not_listen_is_killed() -> None:
    """After the grace, SIGKILL: an end within a known time."""
    with kept(IGNORES_SIGTERM, grace=0.3) as (process, pid):
        assert process.stderr
        assert process.stderr.readline() == b"\n"  # its standard output goes where its log goes: it is set up
        assert process.stdin
        process.stdin.close()

        assert process.wait(PATIENCE) == 128 + signal.SIGKILL
        assert not lives(pid)


def test_a_program_that_was_stopped_is_ended() -> None:
    """A frozen broker does not hear SIGTERM; it goes all the same."""
    with kept(SLEEPS, grace=0.3) as (process, pid):
        os.kill(pid, signal.SIGSTOP)
        assert process.stdin
        process.stdin.close()

        until("the program ends", lambda: not lives(pid))


def test_the_keeper_ends_with_the_programs_own_status() -> None:
    """The babysitter's exit status tells how the program ended."""
    with kept("raise SystemExit(7)") as (process, _):
        assert process.wait(PATIENCE) == 7


if sys.platform == "linux":  # no other system ties a process to its parent

    def test_the_program_goes_with_a_keeper_that_was_killed() -> None:
        """kill -9 of the keeper leaves nothing either."""
        with kept(SLEEPS) as (process, pid):
            process.kill()

            until("the program ends", lambda: not lives(pid))

    def test_the_program_goes_with_a_keeper_that_was_killed_before_it_was_tied_to_it() -> None:
        """Killed at the very moment of the fork: the program sees that it has no keeper, and is never begun."""
        forked = textwrap.dedent(f"""
            import os, signal, sys
            sys.argv[1:] = ["5", sys.executable, "-c", {SLEEPS!r}]
            sys.path.insert(0, {str(Path(babysitter.__file__).parent)!r})
            import babysitter as keeper

            def when_the_keeper_is_gone():
                while os.getppid() == parent:
                    pass

            parent = os.getpid()
            keeper._die_with_keeper = lambda: when_the_keeper_is_gone
            keeper.main()
        """)
        with subprocess.Popen([sys.executable, "-c", forked], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            pid = int(process.stdout.readline())
            process.kill()

            until("the program is not begun", lambda: not lives(pid))


def test_files_of_the_program_are_for_its_owner_only(tmp_path: Path) -> None:
    """The broker's files hold envelopes: nobody else on the machine may read them."""
    with kept(f"open({str(tmp_path / 'file')!r}, 'w').close()") as (process, _):
        process.wait(PATIENCE)

    assert (tmp_path / "file").stat().st_mode & 0o077 == 0
