"""The whole bus as AsyncAPI 3.0, ``schemas/asyncapi.yaml``, and a page of it for people, ``schemas/asyncapi.html``.

Made from the topic files, the desks' brokers, the published types and the Rules; both files are frozen, and nothing in
them is written by hand. A new type, version, topic or line of a procedure needs no edit here.

``python -m nrmbus.published.asyncapi write`` makes them; ``check`` prints what differs and exits 1.
"""

from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import yaml

from nrmbus.bus.embedded.jars import KAFKA
from nrmbus.events.schemas import FOLDER, write_or_check
from nrmbus.published.asyncapi import brokers, forms, messages
from nrmbus.published.asyncapi.page import page
from nrmbus.rules import Profile, load_profile, profile_names

DOCUMENT: Final = "asyncapi.yaml"
PAGE: Final = "asyncapi.html"
_SHOWN: Final = 40
"""So many differences say what happened; more of them are of one kind."""

_ABOUT: Final = """\
Agencies that share no database hand a person's case to one another over Kafka.
An agency writes into its own outbox and reads its own inbox; the registrar judges what was written by the Rules, numbers it, and delivers it.

Every event is a CloudEvent 1.0 in Kafka's binary mode: attributes are headers, the value is `data` in JSON, the key is the case.
What may name a person is in the letter, which only its recipients can open; `x-letter` is what is inside.
Each version of a type is a message of its own, and stays valid: `nrm.referral.submitted.v1` beside `nrm.referral.submitted.v2`.

Most partners need none of this: an agency's desk speaks it, and the agency's system speaks plain JSON to its desk over HTTP.
Operations are named by who does them: this document describes every service of the bus, not one of them.
"""


def document() -> dict[str, Any]:
    """The AsyncAPI document, in JSON types, always in the same order."""
    profiles = [load_profile(name) for name in profile_names()]
    return {
        "asyncapi": "3.0.0",
        "id": "urn:nrmbus",
        "info": {
            "title": "nrmbus",
            "version": metadata.version("nrmbus"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
            "tags": messages.tags(),
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": brokers.channels(),
        "operations": brokers.operations(profiles[-1]),
        "components": {
            "messages": messages.messages(),
            "messageTraits": messages.traits(),
            "parameters": brokers.parameters(),
            "securitySchemes": {
                "door": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token in `agencies/<id>/door.json`, which only the agency's user can read.",
                },
                "certificate": {
                    "type": "X509",
                    "description": (
                        "A client certificate of the bus's own authority, which names the agency or service; it lives 30 days. "
                        "The agency requests it with `nrmbus agency request`, and its desk renews it over the bus."
                    ),
                },
            },
            "schemas": forms.schemas_of_forms() | messages.own_schemas(),
        },
        "x-rules": {profile.name: _rules(profile) for profile in profiles},
    }


def _servers() -> dict[str, Any]:
    return {
        "bus": {
            "host": "{host}:{port}",
            "protocol": "kafka-secure",
            "protocolVersion": KAFKA,
            "title": "Kafka",
            "description": (
                "Mutual TLS 1.3: broker and client show each other a certificate, and the broker answers nobody else. "
                "The broker's access rules allow the `x-writers` and `x-readers` of each channel, and nobody else. "
                "A suspended agency, or one with an expired or revoked certificate, has no rights, on open connections too. "
                "The record has its own protection besides: the signatures of its source and of the registrar (Ed25519), and the sealed letter. "
                "Without TLS there are no access rules; only a bus that was made with `--plaintext` on an existing cluster is like that, for trying things."
            ),
            "variables": {
                "host": {
                    "default": "127.0.0.1",
                    "description": "That of the bus's own Kafka; a bus on another cluster has that cluster's.",
                },
                "port": {
                    "description": "Free when the bus was made; `run/broker.json` in its folder names it.",
                    "examples": ["29092"],
                },
            },
            "security": [{"$ref": "#/components/securitySchemes/certificate"}],
        },
        "door": {
            "host": "127.0.0.1:{port}",
            "protocol": "http",
            "title": "The door of an agency's desk",
            "description": (
                "Plain JSON over HTTP on the same machine, without TLS, behind a bearer token; the desk signs, seals and sends. "
                "Its paths are in `services/nrmbus/desk/README.md`."
            ),
            "variables": {
                "port": {"description": "A free port; `door.json` of the agency names it.", "examples": ["40123"]}
            },
            "security": [{"$ref": "#/components/securitySchemes/door"}],
        },
    }


def _rules(profile: Profile) -> dict[str, Any]:
    """Who may say each type, who is told and who opens which part, in the words of *profile*."""
    rows = {}
    for name, row in profile.types.items():
        rows[name] = {"may-publish": list(row.by), "told": list(row.sees)}
        if row.opens:
            rows[name]["opens"] = {part: list(terms) for part, terms in row.opens.items()}
        rows[name]["basis"] = row.basis
    return {
        "digest": profile.digest,
        "roles": {name: list(roles) for name, roles in profile.roles.items()},
        "types": rows,
    }


# -- the files -------------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Each thing where it stands, whole, and text of several lines as text."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _text_of(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_of)


def documents() -> Mapping[str, str]:
    """Both files as they are due, by their path in the folder ``schemas``."""
    made = document()
    text = yaml.dump(made, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return {DOCUMENT: "# Made by `nrmbus schema freeze`; nothing here is written by hand.\n" + text, PAGE: page(made)}


def write(folder: Path = FOLDER) -> tuple[str, ...]:
    """Write into *folder* what differs there; answer the paths that were written, as they are in *folder*."""
    written = []
    for path, text in documents().items():
        file = folder / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            written.append(path)
    return tuple(written)


def differences(folder: Path = FOLDER) -> Iterator[str]:
    """What in *folder* is not as the code says: a line for each place in the document, and one for the page."""
    for path, text in documents().items():
        file = folder / path
        if not file.exists():
            yield f"{path} is missing: nrmbus schema freeze"
        elif (found := file.read_text(encoding="utf-8")) != text:
            places = list(_places(yaml.safe_load(found), yaml.safe_load(text), "")) if path == DOCUMENT else []
            yield from (f"{path}{place}" for place in places[:_SHOWN])
            if len(places) > _SHOWN:
                yield f"{path}: and {len(places) - _SHOWN} more places"
            if not places:
                yield f"{path} is not as it would be made: nrmbus schema freeze"


def _places(found: Any, due: Any, at: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(due, dict):
        for key in [*due, *(key for key in found if key not in due)]:
            pointer = f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key not in found:
                yield f"#{pointer} is missing"
            elif key not in due:
                yield f"#{pointer} is in no source"
            else:
                yield from _places(found[key], due[key], pointer)
    elif found != due:
        yield f"#{at} differs"


def main(arguments: list[str] | None = None) -> int:
    """Write or check both files; return the exit code."""
    return write_or_check("python -m nrmbus.published.asyncapi", main.__doc__, write, differences, arguments)
