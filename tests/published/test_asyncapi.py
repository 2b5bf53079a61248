"""The bus as AsyncAPI says it: by AsyncAPI's own code a document without fault, and what the services really write."""

import html
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it ships no types

import plain_yaml
from agencies import BUS, NOW, SIGNAL
from node import installed
from nrmbus.bus.kafka.cluster import tls_settings
from nrmbus.bus.kafka.declarations import load_declarations
from nrmbus.desk.procedure.interface import lines_of
from nrmbus.desk.procedure.roles import ROOMS, procedure_of
from nrmbus.events.model import Data, Event, Part
from nrmbus.events.registry import TYPES
from nrmbus.events.schemas import FOLDER
from nrmbus.published import asyncapi
from nrmbus.published.asyncapi.page import page
from nrmbus.registrar.records import Coordinates
from nrmbus.rules import load_profile
from nrmbus.wire import letter
from nrmbus.wire.envelope import encode, with_letter
from nrmbus.wire.record import Record
from published.asyncapi_judges import (
    FROZEN,
    HERE,
    Faults,
    by_the_parser,
    by_the_schema,
    inlined,
    resolved,
    schema_file,
)
from registrar.given import Bus as AgenciesOfABus
from registrar.given import as_record

BREAKAGES: dict[str, Callable[[Any], object]] = {
    "an operation does what none can": lambda it: it["operations"]["agency.reads.inbox"].update(action="hear"),
    "a channel that is not there": lambda it: it["operations"]["agency.reads.inbox"]["channel"].update(
        {"$ref": "#/channels/letters"}
    ),
    "a schema file that is not there": lambda it: it["components"]["messages"]["nrm.case.closed.v1"].update(
        payload={"$ref": "./nrm.case.closed/v999.schema.json#/$defs/Data"}
    ),
    "a member that AsyncAPI does not have": lambda it: it["channels"]["outbox"].update(topic="nrm.outbox"),
    "a retention in words": lambda it: it["channels"]["outbox"]["bindings"]["kafka"]["topicConfiguration"].update(
        {"retention.ms": "7 days"}
    ),
    "a server without a protocol": lambda it: it["servers"]["bus"].pop("protocol"),
}


def broken(breakage: str) -> dict[str, Any]:
    """The frozen document with one fault."""
    document: dict[str, Any] = json.loads(json.dumps(FROZEN))
    BREAKAGES[breakage](document)
    return document


@pytest.fixture(scope="module", name="verdicts")
def _verdicts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, dict[str, Faults]]:
    """Return each judge's faults of the frozen document and of each broken one; without the parser, the schema's alone."""
    documents = {"frozen": FROZEN} | {breakage: broken(breakage) for breakage in BREAKAGES}
    schema = {name: by_the_schema(document) for name, document in documents.items()}
    kept = getattr(request.config, "cache", None)  # pytest may run without one
    home = installed(kept.mkdir("asyncapi-parser") if kept else tmp_path_factory.mktemp("parser"), HERE)
    parser = by_the_parser(home, tmp_path_factory.mktemp("schemas"), documents) if home else schema
    return {"schema": schema, "parser": parser}


@cache
def headers_schema(message: str) -> Draft7Validator:
    """The headers that *message* of the components may have; none where it says nothing of headers."""
    described = FROZEN["components"]["messages"][message].get("headers", {"maxProperties": 0})
    return Draft7Validator(inlined(described))


def payload_schema(message: str) -> Draft7Validator:
    """The value that *message* of the components may have."""
    return Draft7Validator(inlined(FROZEN["components"]["messages"][message]["payload"]))


# -- the files -------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_both_files_are_as_the_code_makes_them() -> None:
    """The document and its page are frozen, and whatever changes the bus shows in them."""
    assert list(asyncapi.differences()) == []


@pytest.mark.thorough
def test_the_check_names_every_place_that_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check names the place of each missing, edited or foreign value, and the command fails."""
    assert asyncapi.main(["write", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["wrote asyncapi.yaml", "wrote asyncapi.html"]
    assert asyncapi.main(["check", "--folder", str(tmp_path)]) == 0
    assert asyncapi.write(tmp_path) == ()
    edited = plain_yaml.read((tmp_path / "asyncapi.yaml").read_text(encoding="utf-8"))
    del edited["channels"]["inbox"]["messages"]["nrm.referral.submitted.v2"]
    edited["operations"]["ngo.invented"] = {"action": "send"}
    edited["servers"]["bus"]["protocol"] = "kafka"
    (tmp_path / "asyncapi.yaml").write_text(plain_yaml.text_of(edited), encoding="utf-8")
    (tmp_path / "asyncapi.html").unlink()

    assert asyncapi.main(["check", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "asyncapi.yaml#/servers/bus/protocol differs",
        "asyncapi.yaml#/channels/inbox/messages/nrm.referral.submitted.v2 is missing",
        "asyncapi.yaml#/operations/ngo.invented is in no source",
        "asyncapi.html is missing: nrmbus schema freeze",
    ]


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("judge", ["schema", "parser"])
def test_the_document_is_asyncapi(verdicts: Mapping[str, dict[str, Faults]], judge: str) -> None:
    """AsyncAPI's schema and AsyncAPI's parser find no fault in the frozen document, and every reference leads somewhere."""
    assert verdicts[judge]["frozen"] == []


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("breakage", BREAKAGES)
@pytest.mark.parametrize("judge", ["schema", "parser"])
def test_each_judge_sees_what_is_broken(verdicts: Mapping[str, dict[str, Faults]], judge: str, breakage: str) -> None:
    """Sabotage: a document with one fault passes neither judge."""
    assert verdicts[judge][breakage] != []


# -- what stands in it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["outbox", "inbox", "cases"])
def test_every_type_and_version_is_a_message_of_its_own(channel: str) -> None:
    """No version stands for another: each has its message, in the outbox, the inbox and the history."""
    messages = FROZEN["channels"][channel]["messages"]

    assert {name for name in messages if name.startswith("nrm.")} == {
        f"nrm.{type}.v{version}" for type, version in TYPES
    }
    assert {"nrm.referral.submitted.v1", "nrm.referral.submitted.v2"} <= messages.keys()


def test_every_message_is_in_a_channel() -> None:
    """Every described message is in at least one channel."""
    used = {
        each["$ref"].rpartition("/")[2]
        for channel in FROZEN["channels"].values()
        for each in channel["messages"].values()
    }

    assert used == FROZEN["components"]["messages"].keys()


@pytest.mark.parametrize("data", [pytest.param(data, id=f"{data.type}-{data.version}") for data in TYPES.values()])
def test_each_message_takes_its_own_examples_and_no_other_type(data: type[Data]) -> None:
    """Both examples of a type and version fit its message, payload and headers; as another type they do not."""
    name = f"nrm.{data.type}.v{data.version}"
    other = "nrm.case.closed.v1" if name != "nrm.case.closed.v1" else "nrm.case.linked.v1"
    for path in FROZEN["components"]["messages"][name]["x-examples"]:
        event = schema_file(path)["event"]
        headers = {
            "content-type" if key == "datacontenttype" else f"ce_{key}": str(value)
            for key, value in event.items()
            if key != "data"
        } | {"ce_dssematerial": "e30="}

        payload_schema(name).validate(event["data"])
        headers_schema(name).validate(headers)
        assert not headers_schema(other).is_valid(headers)


def test_every_topic_is_a_channel_with_its_settings() -> None:
    """Address, key, partitions and retention are those of the topic files, and each writer and reader has an operation."""
    operations = FROZEN["operations"]
    for declared in load_declarations():
        name = declared.topic.split(".")[1]
        channel = FROZEN["channels"][name]
        kafka = channel["bindings"]["kafka"]
        assert channel["address"] == kafka["topic"] == declared.topic
        assert kafka["topicConfiguration"]["retention.ms"] == declared.retention_ms
        assert kafka.get("partitions", "P") == declared.partitions
        assert ("parameters" in channel) == declared.of_each_agency
        for who, action, verb in [(w, "send", "writes") for w in declared.writers] + [
            (r, "receive", "reads") for r in declared.readers
        ]:
            operation = operations[f"{who.strip('{}')}.{verb}.{name}"]
            assert (operation["action"], operation["channel"]) == (action, {"$ref": f"#/channels/{name}"})


def test_a_procedures_lines_are_operations() -> None:
    """Each handler of a desk is an operation, with its numbered line, and hears its types in every version."""
    heard = FROZEN["operations"]["ngo.receive"]

    assert heard["summary"].startswith("1. A referral comes: a case worker acknowledges it")
    assert heard["x-roles"] == ["ngo_outreach", "ngo_legal", "religious"]
    assert heard["bindings"]["kafka"]["groupId"]["pattern"] == r"^[a-z][a-z0-9-]{1,30}\.desk$"
    assert [each["$ref"].rpartition("/")[2] for each in heard["messages"]] == [
        f"nrm.referral.submitted.v{version}" for type, version in TYPES if type == "referral.submitted"
    ]
    written = {
        (room, line.name, line.text.partition(".")[0])
        for role, room in ROOMS.items()
        if (procedure := procedure_of(role)) is not None
        for line in lines_of(procedure)
    }
    rooms = {*ROOMS.values(), "desk"}
    operations = FROZEN["operations"]
    lines = {name for name in operations if name.count(".") == 1 and name.split(".")[0] in rooms}
    assert {
        (*operations[name]["title"].split(": "), operations[name]["summary"].partition(".")[0])
        for name in lines - {"desk.leave_to_a_person"}
    } == written
    assert len(lines) == len(written) + 1
    assert {"police.receive", "shelter.answer", "fund.allowance", "ngo.supply"} <= lines
    assert {"migration.refuse", "migration.refuse_9", "justice.note", "justice.note_12"} <= lines


def test_no_name_of_the_document_hides_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: given two operations of one name, then no document is made of them."""
    made = sys.modules["nrmbus.published.asyncapi.document"]  # the package has a function of that name
    monkeypatch.setattr(made, "_lines", lambda *_: [("desk.leave_to_a_person", {}), ("desk.leave_to_a_person", {})])

    with pytest.raises(ValueError, match=r"desk\.leave_to_a_person comes twice"):
        made.document()


def security_of(server: str) -> list[str]:
    """Return the types of the security schemes of *server* in the published document."""
    schemes = FROZEN["components"]["securitySchemes"]
    return [schemes[each["$ref"].rpartition("/")[2]]["type"] for each in FROZEN["servers"][server]["security"]]


def test_the_document_states_the_security_that_the_bus_has() -> None:
    """Given the settings of the bus's own broker, its server in the document is mutual TLS 1.3 with enforced access rules."""
    settings = tls_settings("play-0001")
    bus = FROZEN["servers"]["bus"]

    assert settings["ssl.client.auth"] == "required"
    assert settings["ssl.enabled.protocols"] == "TLSv1.3"
    assert settings["allow.everyone.if.no.acl.found"] == "false"
    assert (bus["protocol"], security_of("bus")) == ("kafka-secure", ["X509"])
    assert "Mutual TLS 1.3" in bus["description"]
    assert "not yet" not in bus["description"]
    assert "client certificate (X509)" in (FOLDER / "asyncapi.html").read_text(encoding="utf-8")


def test_the_door_is_behind_a_bearer_token() -> None:
    """The door of a desk is plain HTTP on the same machine, and says so."""
    assert (FROZEN["servers"]["door"]["protocol"], security_of("door")) == ("http", ["http"])
    assert "without TLS" in FROZEN["servers"]["door"]["description"]


# -- what the services really write ----------------------------------------------------------------------------------


def fits(record: Record, message: str) -> None:
    """Assert that the headers, the key and the value of *record* are those of *message*."""
    headers_schema(message).validate({name: value.decode("latin-1") for name, value in record.headers})
    described = FROZEN["components"]["messages"][message]
    value: object = json.loads(record.value) if record.value else ""
    payload_schema(message).validate(value)
    for trait in [described, *(resolved(FROZEN, each["$ref"]) for each in described.get("traits", ()))]:
        if key := trait.get("bindings", {}).get("kafka", {}).get("key"):
            assert record.key is not None
            Draft7Validator(inlined(key)).validate(record.key.decode())


def test_records_of_the_registrar_fit_the_document() -> None:
    """A submission with a letter, its record in the history, each recipient's copy, the receipt, a refusal, an answer, a quarantine."""
    bus = AgenciesOfABus()
    shard = bus.shard()
    event = bus.event("ngo-a", "case.signal_recorded", SIGNAL)
    kind = TYPES["case.signal_recorded", 1].letter
    assert kind is not None
    parts: dict[Part, dict[str, Any]] = {part: {} for part in kind.part_names()}
    readers = {
        part: [
            (agency, bus.identities[agency].sealing.seal_to)
            for agency in sorted({"ngo-a", *(["special-unit", "statistics"] if part == "coded" else [])})
        ]
        for part in parts
    }
    container = letter.seal(parts, readers, bus=BUS, source="ngo-a", id=event.id, subject=event.subject)
    event = Event(**{**dict(event), "sealeddigest": letter.Container.parse(container).digest})
    submitted = with_letter(encode(event, bus.identities["ngo-a"].signing), container)
    fits(submitted, "nrm.case.signal_recorded.v1")

    decision = bus.take(shard, submitted, owner="ngo-a")
    assert (decision.outcome, decision.code) == ("registered", None)
    written = {out.topic: as_record(out) for out in decision.outs}
    assert {"nrm.cases", "nrm.inbox.ngo-a", "nrm.inbox.special-unit"} <= written.keys()
    fits(written.pop("nrm.cases"), "nrm.case.signal_recorded.v1.recorded")
    for record in written.values():
        fits(record, "nrm.case.signal_recorded.v1.delivered")
    assert "nrm_letter" in dict(written["nrm.inbox.special-unit"].headers)

    refused = bus.say(shard, "ngo-a", "case.signal_recorded", SIGNAL)
    assert refused.outcome == "refused"
    recorded, receipt = map(as_record, refused.outs)
    fits(recorded, "refusal.recorded")
    fits(receipt, "refusal.delivered")

    gap = bus.say(shard, "ngo-a", "case.signal_recorded", SIGNAL, sequence=9)
    assert gap.outcome == "answered"
    fits(as_record(gap.outs[0]), "answer")

    junk = Record(b"key", b"{", (("ce_id", b"1"),))
    quarantined, answer = shard.unreadable(Coordinates("nrm.outbox.ngo-a", 0, 7), junk, "unreadable", NOW)
    fits(as_record(quarantined), "quarantined")
    shard.sign([answer], bus.key)
    fits(as_record(answer), "answer")


def test_a_header_that_is_not_the_buss_does_not_fit() -> None:
    """The forms are closed: a submission with what only the registrar writes, or with an unknown header, does not fit."""
    event = schema_file("nrm.case.closed/v1/minimal.json")["event"]
    headers = {
        "content-type" if key == "datacontenttype" else f"ce_{key}": str(value)
        for key, value in event.items()
        if key != "data"
    } | {"ce_dssematerial": "e30="}
    validator = headers_schema("nrm.case.closed.v1")

    assert validator.is_valid(headers)
    for more in ({"nrm_registration": "{}"}, {"reply_to": "x"}, {"ce_sequence": "-1"}, {"nrm_letter": "{}"}):
        assert not validator.is_valid(headers | more), more
    assert not validator.is_valid({name: value for name, value in headers.items() if name != "ce_dssematerial"})


# -- the page --------------------------------------------------------------------------------------------------------


class _Links(HTMLParser):
    """Collects what a page points at, loads, and can be pointed at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.links.append(found.get("href") or "")
        if tag in {"script", "img", "link", "iframe", "object"} or "src" in found:
            self.loads.append(tag)
        if identifier := found.get("id"):
            assert identifier not in self.ids
            self.ids.add(identifier)


def test_the_page_loads_nothing_and_every_link_leads_somewhere() -> None:
    """It is read from a folder, offline: no script, no picture, no font from elsewhere, and no dead link."""
    text = (FOLDER / asyncapi.PAGE).read_text(encoding="utf-8")
    found = _Links(text)

    assert found.loads == []
    assert not re.search(r"url\(|@import", text)
    assert len(found.links) > 3 * len(TYPES)
    for link in found.links:
        assert link[1:] in found.ids if link.startswith("#") else (FOLDER / link).is_file(), link


def test_the_page_shows_every_version_and_escapes_what_it_is_given() -> None:
    """Each type is on it with all its versions; a text of the document is text on the page."""
    text = page(FROZEN)
    bare = text.replace("<wbr>", "")
    for type, version in TYPES:
        assert f"<code>nrm.{type}</code>" in bare
        assert f'href="nrm.{type}/v{version}.schema.json"' in text
    hostile = json.loads(json.dumps(FROZEN))
    hostile["channels"]["outbox"]["description"] = "<script>`<b>`"

    assert "&lt;script&gt;<code>&lt;b&gt;</code>" in page(hostile)
    assert "<script>" not in page(hostile)


def cells(text: str, start: str, end: str) -> list[list[str]]:
    """Return the cells, as text, of each row of the tables between *start* and *end* of a page."""
    part = text[text.index(start) : text.index(end)]
    rows = re.findall(r"<tr>\s*(<td.*?)</tr>", part, re.DOTALL)
    return [
        [html.unescape(re.sub(r"<[^>]+>", "", each)) for each in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        for row in rows
    ]


def words(terms: Iterable[str]) -> str:
    """Return terms of a profile as the page writes them."""
    return ", ".join(each.replace("_", " ") for each in terms)


def test_the_page_says_who_may_say_each_type_and_who_is_told() -> None:
    """Each type has the publishers and recipients of the profile that the page names, and each group of its roles is there."""
    text = page(FROZEN)
    named = re.search(r"Rules of <code>(.*?)</code>", text)
    assert named
    profile = load_profile(named[1])

    shown = {row[0].removeprefix("nrm."): tuple(row[2:4]) for row in cells(text, 'id="messages"', 'id="statements"')}
    assert shown == {name: (words(row.by), words(row.sees) or "nobody else") for name, row in profile.types.items()}
    assert cells(text, 'id="roles"', "</main>") == [
        [words([name]), words(each)] for name, each in profile.roles.items()
    ]
