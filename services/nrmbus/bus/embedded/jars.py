"""Kafka's jars: a pinned list, fetched once, and checked byte for byte before each start.

Run as a module, this file resolves the list again from its two root coordinates and writes it.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nrmbus.bus.errors import JarAltered, KafkaFailed
from nrmbus.bus.folder import cache_home
from nrmbus.bus.private_files import PRIVATE_FILE, locked
from nrmbus.packed import packed

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA: Final = "4.3.1"
ROOTS: Final = (f"org.apache.kafka:kafka_2.13:{KAFKA}", f"org.apache.kafka:kafka-tools:{KAFKA}")
LOGGING: Final = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
"""Logging library of Kafka, without which nothing is logged. Its own dependencies are left out, since they would change Kafka's versions."""
AT_ONCE: Final = 8
"""Concurrent downloads: 53 MB take 15 s, against a minute one after the other."""

Progress = Callable[[str, int, int], None]
"""Progress callback: the present activity, the amount done, and the total, in one unit."""

_PINS: Final = "jars.txt"
_HEADER: Final = "# Kafka's jars: coordinate, size in bytes, SHA-256. Written by python -m nrmbus.bus.embedded.jars; nobody edits a line by hand.\n"


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar."""

    coordinate: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, which is unique in the list."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def pinned() -> tuple[Jar, ...]:
    """Return all jars of the class path, in its order."""
    text = packed(f"bus/embedded/{_PINS}").read_text(encoding="utf-8")
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return tuple(Jar(coordinate, int(size), sha256) for coordinate, size, sha256 in lines)


def jar_home() -> Path:
    """Return the folder of this Kafka version's jars, for all buses of this user."""
    return cache_home() / f"kafka-{KAFKA}"


def class_path(home: Path) -> str:
    """Return Java's class path of all jars in *home*, after a check of each digest.

    Raises:
        JarAltered: a jar is not the pinned one.
        KafkaFailed: a jar is missing.
    """
    for jar in pinned():
        path = home / jar.name
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            raise KafkaFailed(
                f"Kafka's jar {path} is missing: run nrmbus up again, with a network, to fetch it."
            ) from None
        if found != jar.sha256:
            raise JarAltered(
                f"Kafka's jar {jar.name} is not, byte for byte, the pinned one: rm '{path}' and start again to fetch it anew."
            )
    return os.pathsep.join(str(home / jar.name) for jar in pinned())


def cache_held(home: Path) -> AbstractContextManager[None]:
    """Be the only process that writes to *home*; a second process waits here."""
    return locked(home / ".lock")


def fetch(home: Path, progress: Progress) -> None:
    """Fetch the jars that are missing in *home*, without network if none is. An altered jar stays for `class_path` to refuse.

    Raises:
        KafkaFailed: no network, a proxy that opens TLS, no disk, or a jar that is not the pinned one.
    """
    if all((home / jar.name).exists() for jar in pinned()):
        return
    with cache_held(home):
        missing = [jar for jar in pinned() if not (home / jar.name).exists()]
        if not missing:  # somebody else brought them while we waited
            return
        partial = home / ".partial"
        shutil.rmtree(partial, ignore_errors=True)  # left behind by a fetch that was cut
        try:
            _fetch(home, partial, missing, progress)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _maven(repository: Path) -> "MavenContext":
    """Return a client of the Maven repositories that writes nowhere but *repository*."""
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415 - an optional dependency, and slow to import
    except ImportError:
        raise KafkaFailed("The embedded Kafka is not installed: pip install 'nrmbus[embedded]'") from None
    return MavenContext(repo_cache=repository)


def _fetch(home: Path, partial: Path, missing: list[Jar], progress: Progress) -> None:
    context = _maven(partial)
    done, total = 0, sum(jar.size for jar in missing)
    progress("Fetching Kafka", done, total)
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def one(jar: Jar) -> Jar:
            group, artifact, version = jar.coordinate.split(":")
            path = context.project(group, artifact).at_version(version).artifact().resolve()
            if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
                raise JarAltered(
                    f"What was fetched as Kafka's jar {jar.name} is not the pinned one: start again, or ask whose proxy altered it."
                )
            # A set time: the start-up archive holds each jar's, and a jar that is fetched anew must still match it.
            os.utime(path, (0, 0))
            path.chmod(PRIVATE_FILE)
            path.replace(home / jar.name)
            return jar

        try:
            for fetched in as_completed([pool.submit(one, jar) for jar in missing]):
                done += fetched.result().size
                progress("Fetching Kafka", done, total)
        except JarAltered:
            raise
        except Exception as error:  # noqa: BLE001 - requests, urllib3 and jgo raise many kinds; each has one of these causes
            raise KafkaFailed(_cause(error)) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _cause(error: Exception) -> str:
    """Return a sentence with the cause of *error* and the command that mends it."""
    said = repr(error)
    if "No space left" in said or "Disk quota" in said:
        return f"The disk is full (Kafka needs 130 MB in {cache_home()}): free some, see how much with df -h '{cache_home()}'"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            "A proxy on this network opens TLS and signs it anew with a certificate that Python does not know: "
            "ask for its file, then REQUESTS_CA_BUNDLE=/path/ca.pem nrmbus up"
        )
    return (
        f"Kafka could not be fetched ({type(error).__name__}): check the network (behind a proxy: "
        "export HTTPS_PROXY=http://HOST:PORT) and run nrmbus up again."
    )


def _resolve(scratch: Path) -> tuple[Jar, ...]:
    """Return the list that the root coordinates resolve to today."""
    context = _maven(scratch)
    roots, others = context.resolver.get_dependency_list([context.create_dependency(each) for each in ROOTS])
    artifacts = [node.dep.artifact for node in [*roots.children, *others]]
    artifacts.append(context.create_dependency(LOGGING).artifact)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        contents = list(pool.map(lambda artifact: artifact.resolve().read_bytes(), artifacts))
    return tuple(
        sorted(
            (
                Jar(f"{each.groupId}:{each.artifactId}:{each.version}", len(raw), hashlib.sha256(raw).hexdigest())
                for each, raw in zip(artifacts, contents, strict=True)
            ),
            key=lambda jar: jar.coordinate,
        )
    )


def renew() -> None:
    """Resolve the pinned list again and write it."""
    with cache_held(jar_home()):
        jars = _resolve(jar_home() / ".resolve")
        shutil.rmtree(jar_home() / ".resolve", ignore_errors=True)
    Path(__file__).with_name(_PINS).write_text(
        _HEADER + "".join(f"{jar.coordinate} {jar.size} {jar.sha256}\n" for jar in jars)
    )


if __name__ == "__main__":
    renew()
