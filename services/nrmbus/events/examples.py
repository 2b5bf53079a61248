"""Examples of every published event, generated from its schema.

The result is deterministic, so that a frozen example changes only when its model does. Names are "Example", citizenship is
XA, and the case number is 1: nobody can take an example for a person.
"""

from typing import Any

Schema = dict[str, Any]

EVENT_ID = "01930000-0000-7000-8000-000000000001"
EARLIER_ID = "01930000-0000-7000-8000-000000000000"
CASE = "00000000000000000000000000000001"
OTHER = "00000000000000000000000000000002"

_WRITTEN: dict[str, Any] = {
    # Fields of the first versions, whose frozen schemas hold no examples; every later field has its own beside it.
    # Envelope
    "Event.id": EVENT_ID,
    "Event.source": "/agency/example-ngo",
    "Event.subject": CASE,
    "Event.sequence": 1,
    "Event.actor": "example-7041",
    "Event.approver": "example-2213",
    "Event.policy": "az@2022-04-29",
    "Event.legalbasis": "CoM 21/2008 art. 7",
    "Event.consent": EARLIER_ID,
    "Event.referral": OTHER,
    "Event.incident": OTHER,
    "Event.correlationid": EARLIER_ID,
    "Event.causationid": EARLIER_ID,
    "Event.expectedversion": 1,
    "Event.dataclassification": "DC1",
    "Event.sealeddigest": "e" * 64,
    "Event.traceparent": f"00-{'e' * 32}-{'e' * 16}-01",
    "Event.dssematerial": "RXhhbXBsZQ==",
    # Agencies
    "to": ["example-unit"],
    "receivers": ["example-shelter"],
    "withhold_from": ["example-police"],
    "alternative": "example-centre",
    "shelter": "example-shelter",
    # Times, numbers, references
    "time": "2026-03-02T05:00:00Z",
    "recordedtime": "2026-03-02T05:01:00Z",
    "due": "2026-03-03T05:00:00Z",
    "when": "2026-03-09T06:00:00Z",
    "expires": "2027-03-02",
    "birth_date": "1996-02-29",
    "days": 30,
    "until_days": 30,
    "valid_days": 365,
    "review_until_days": 30,
    "planned_end_days": 120,
    "valid_hours": 24,
    "month": 3,
    "late_by_minutes": 0,
    "previous_case": OTHER,
    "other_case": OTHER,
    "decision": EARLIER_ID,
    "receipt_no": "EX-2026-0001",
    "representative": "EXAMPLE-01",
    "rule": "D-REFER",
    "tariff": "az-2024",
    "Amount.value": "700.00",
    "Amount.currency": "AZN",
    # A person who does not exist
    "citizenship": "XA",
    "language": "rus",
    "interpreter": "rus",
    "region": "AZ-BA",
    "indicators": ["ILO-AS-CR-02", "ILO-AS-CD-05"],
    "name": "Alina Example",
    "document": "Example passport XA0000000",
    "documents": "Example passport XA0000000",
    "Contact.value": "+994000000001",
    "Contact.safe_hours": "10:00-12:00",
    "facts": "Example: the passport was taken.",
    "income": "Example: none.",
    "account": "Example account 0000",
    "answer": "Example: call only through the sender.",
    "record": "Example of a record.",
    "evidence": "Example of new evidence.",
    "notes": "Example of a note.",
}


def example(schema: Schema, *, full: bool) -> dict[str, Any]:
    """Return an instance of *schema* with the required members only, or with all. Raise KeyError if a field has no example."""
    made: dict[str, Any] = _object("", schema, schema.get("$defs", {}), full=full)
    return made


def _object(name: str, schema: Schema, definitions: dict[str, Schema], *, full: bool) -> dict[str, Any]:
    wanted = schema.get("properties", {}) if full else schema.get("required", ())
    return {field: _value(name, field, schema["properties"][field], definitions, full=full) for field in wanted}


def _value(parent: str, field: str, schema: Schema, definitions: dict[str, Schema], *, full: bool) -> Any:
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _object(name, definitions[name], definitions, full=full)
    if "const" in schema:
        return schema["const"]
    if (qualified := f"{parent}.{field}") in _WRITTEN:
        return _WRITTEN[qualified]
    if "enum" in schema:
        return schema["enum"][-2 if full else 0]  # not the last, which is often "other"
    if field in _WRITTEN:
        return _WRITTEN[field]
    if schema["type"] == "boolean":
        return full
    if schema["type"] == "integer":
        return max(schema["minimum"], 1)
    if schema["type"] == "array":
        return (
            [_value(parent, f"{field}[]", schema["items"], definitions, full=full)]
            if full or "minItems" in schema
            else []
        )
    message = f"{parent}.{field} needs an example, beside the field: clear(..., example=...)"
    raise KeyError(message)
