"""Judge of FHIR R4 resources: `fhir.resources`, R4's required codes, and the constraints of the SDOH Clinical Care guide.

`fhir.resources` has R4B, in which the resources that are used here are those of R4 (4.0.1), and it does not check codes:
its models name them beside each field, and they are checked here. The guide's own constraints are written by hand from
`input/fsh/profiles` of version 2.3.0.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_GUIDE = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/"
REFERRAL_STATUSES = {
    "draft", "requested", "accepted", "rejected", "cancelled", "in-progress", "on-hold", "failed", "completed",
    "entered-in-error",
}  # fmt: skip
"""ValueSet SDOHCC Referral Task Status: those of R4 without ``ready`` and ``received``."""


def judged(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *resource*, which is a valid one by R4 and by the guide's profile, if its ``meta`` names one."""
    model: Any = get_fhir_model_class(resource["resourceType"])
    read = model.model_validate(dict(resource))
    assert not list(_foreign_codes(read)), "codes that R4 does not have"
    assert "id" not in resource or _ID.fullmatch(resource["id"])
    for profile in resource.get("meta", {}).get("profile", ()):
        _PROFILES[profile.removeprefix(_GUIDE)](resource)
    for entry in resource.get("entry", ()):
        judged(entry["resource"])
    return resource


def _foreign_codes(read: BaseModel) -> Iterator[str]:
    for name, field in type(read).model_fields.items():
        value = getattr(read, name)
        extra = field.json_schema_extra
        codes = extra.get("enum_values") if isinstance(extra, dict) else None
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, BaseModel):
                yield from _foreign_codes(each)
            elif (
                isinstance(codes, list) and not {"+", "mime"} & set(codes) and each is not None and each not in codes
            ):  # a list that its model shortens is no list
                yield f"{name}: {each}"


def _task(task: Mapping[str, Any]) -> None:
    assert task["status"] in REFERRAL_STATUSES
    assert "statusReason" not in task or task["statusReason"]["text"]
    assert task["status"] not in {"rejected", "cancelled", "on-hold", "failed"} or "statusReason" in task
    assert task["intent"] == "order"
    assert task["code"]["coding"][0] == {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}
    assert task["focus"]["reference"].startswith("ServiceRequest/")
    assert task["for"]["type"] == "Patient"
    assert task["requester"]["type"] == task["owner"]["type"] == "Organization"
    assert task["authoredOn"] <= task["lastModified"], "inv-1 of R4; both are UTC to the second"
    for each in task.get("output", ()):
        assert each["type"]["coding"][0]["code"] == "resulting-activity"


def _request(request: Mapping[str, Any]) -> None:
    assert request["status"]
    assert request["intent"] == "order"
    assert request["category"]
    assert request["code"]
    assert request["subject"]["type"] == "Patient"
    assert request["authoredOn"]
    assert request["requester"]


_PROFILES = {"SDOHCC-TaskForReferralManagement": _task, "SDOHCC-ServiceRequest": _request}
