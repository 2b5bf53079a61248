"""A bare machine in a folder: a clone of the project, the usual tools, and stand-ins for Python, pip and uv.

The stand-ins print the real tools' output.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("awk", "cat", "chmod", "cksum", "df", "dirname", "grep", "make", "mkdir", "rm", "sh", "tail", "uname")
GLIBC = "cpython-312-x86_64-linux-gnu"

PYTHON = """\
#!/bin/sh
# A Python as .ci/install meets it: asked for its version, for a venv, or (inside the venv) for pip.
echo "$0 $*" >>"$CALLS"
case "$1 $2" in
    "-c ") exit 0 ;;
    -c*) echo "{version} {abi}"; case {version} in 3.10|3.9) exit 1 ;; esac ;;
    "-m venv")
        mkdir -p .venv/bin
        {venv}
        cat "$0" >.venv/bin/python; chmod +x .venv/bin/python ;;
    "-m pip") {pip} ;;
esac
"""

DEBIAN = """\
echo "The virtual environment was not created successfully because ensurepip is not
available.  On Debian/Ubuntu systems, you need to install the python3-venv
package using the following command.

    apt install python3.12-venv
"; exit 1"""

UV = """\
#!/bin/sh
echo "uv $*" >>"$CALLS"
case "$1" in
    venv) mkdir -p .venv/bin; printf '#!/bin/sh\\nexit 0\\n' >.venv/bin/python; chmod +x .venv/bin/python ;;
    pip) {pip} ;;
esac
"""


@dataclass
class Machine:
    """A clone of the project on a machine where only the stand-ins that were put there are found."""

    home: Path
    said: str = ""
    code: int = 0

    @property
    def clone(self) -> Path:
        """The folder that make is called in."""
        return self.home / "a clone"

    @property
    def calls(self) -> list[str]:
        """Return the calls of the stand-ins since the last run began."""
        path = self.home / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def put(self, name: str, script: str) -> None:
        """Put a program on the PATH."""
        path = self.home / "bin" / name
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)

    def python(
        self, name: str = "python3", version: str = "3.12", abi: str = GLIBC, venv: str = ":", pip: str = ":"
    ) -> None:
        """Put a Python on the PATH that answers so; *venv* and *pip* are what it does when asked for them."""
        self.put(name, PYTHON.format(version=version, abi=abi, venv=venv, pip=pip))

    def make(self, *words: str) -> str:
        """Call make with *words* in the clone; what it says, on either stream."""
        (self.home / "calls").unlink(missing_ok=True)
        environment = {
            "PATH": str(self.home / "bin"),
            "HOME": str(self.home),
            "CALLS": str(self.home / "calls"),
            "LC_ALL": "C",
        }
        done = subprocess.run(
            [str(self.home / "bin" / "make"), *words],
            cwd=self.clone,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=30,
        )
        self.code, self.said = done.returncode, done.stdout
        return self.said

    def sentence(self) -> str:
        """Return the one sentence of a failed run; other lines are make's own or the heading."""
        lines = [
            line
            for line in self.said.splitlines()
            if not line.startswith(("make: ***", "Installing nrmbus into .venv"))
        ]
        assert self.code != 0
        assert len(lines) == 1, self.said
        assert lines[0].startswith("nrmbus: ")
        return lines[0]
