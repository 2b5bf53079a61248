"""The resources with which a FHIR server answers beside its content, and JSON Patch: pure."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from nrmbus.edge.fhir.mapping import REQUEST_PROFILE, TASK_CODE, TASK_PROFILE
from nrmbus.edge.misfit import Misfit
from nrmbus.events.errors import Problem

Json = dict[str, Any]

TASK_PARAMETERS: Final[Mapping[str, str]] = {
    "_id": "token",
    "_lastUpdated": "date",
    "code": "token",
    "focus": "reference",
    "owner": "reference",
    "patient": "reference",
    "requester": "reference",
    "status": "token",
}
"""Search parameters of Task, those that the guide's referral targets must have."""
REQUEST_PARAMETERS: Final = {
    name: TASK_PARAMETERS[name] for name in ("_id", "_lastUpdated", "patient", "requester", "status")
}
TASK_CODES: Final[Mapping[str, str]] = {"code": TASK_CODE, "status": "http://hl7.org/fhir/task-status"}
"""Systems of the codes by which a Task is searched for."""
REQUEST_CODES: Final[Mapping[str, str]] = {"status": "http://hl7.org/fhir/request-status"}
_ISSUES: Final[Mapping[str, str]] = {
    "token_required": "login",
    "scope_missing": "forbidden",
    "not_found": "not-found",
    "method_not_allowed": "not-supported",
    "too_large": "too-long",
    "too_many_requests": "throttled",
    "json_invalid": "structure",
    "json_duplicate": "structure",
    "unknown_field": "value",
    "id_reused": "duplicate",
    "version_passed": "conflict",
    "reader_unnamed": "required",
}
"""Issue type of FHIR for the codes of the door; any other is ``business-rule`` below 500 and ``transient`` above."""
_DOCUMENTED: Final = "http://hl7.org/fhir/SearchParameter"
_SHARED: Final[Mapping[tuple[str, str], str]] = {("ServiceRequest", "patient"): "clinical-patient"}
"""Search parameters that R4 defines for several resources at once."""


def outcome(status: int, body: Mapping[str, Any], severity: str = "error") -> Json:
    """Return the OperationOutcome for an answer of the door: a problem, a refusal, or a verdict that is still pending."""
    code = str(body.get("code", body.get("verdict", "not_available")))
    kind = _ISSUES.get(code, "business-rule" if status < 500 else "transient")
    basis = " ".join(str(body[name]) for name in ("rule", "article") if name in body)
    issue = {
        "severity": severity,
        "code": "informational" if severity == "information" else kind,
        "details": {"coding": [{"system": "urn:nrmbus:problem", "code": code}], "text": body.get("sentence", code)},
        **({"diagnostics": basis} if basis else {}),
    }
    places = [{**issue, "diagnostics": _words(each), **_path(each["pointer"])} for each in body.get("problems", ())]
    return {"resourceType": "OperationOutcome", "issue": places or [issue]}


def _words(problem: Mapping[str, Any]) -> str:
    place = "" if _is_of_task(problem["pointer"]) else f"{problem['pointer'][1:]}: "
    allowed = ", ".join(problem.get("allowed", ()))
    return f"{place}{problem['kind']}: {allowed}" if allowed else f"{place}{problem['kind']}"


def _is_of_task(pointer: str) -> bool:
    """Return whether *pointer* leads into a Task, and not to a parameter of the address or into a JSON Patch, which is a list."""
    return not pointer.startswith("?") and not pointer[1:2].isdigit()


def _path(pointer: str) -> Json:
    """Return the JSON *pointer* into a Task as an ``expression`` of FHIRPath; nothing for any other place."""
    if not _is_of_task(pointer):
        return {}
    steps = [f"[{step}]" if step.isdigit() else f".{step}" for step in pointer.split("/")[1:]]
    return {"expression": ["Task" + "".join(steps)]}


def bundle(base: str, found: Iterable[Json], included: Iterable[Json], links: Mapping[str, str]) -> Json:
    """Return the search set of the resources *found* and *included*, at the address *base*."""
    modes = [("match", each) for each in found] + [("include", each) for each in included]
    entries = [
        {
            "fullUrl": f"{base}/{each['resourceType']}/{each['id']}",
            "resource": each,
            "search": {"mode": mode},
        }
        for mode, each in modes
    ]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
        **({"entry": entries} if entries else {}),
    }


def letter(parts: Mapping[str, Mapping[str, Any]], version: int) -> Json:
    """Return an opened letter as Parameters: a parameter for each part, with a part for each field."""
    found = [
        {"name": part, "part": [_field(name, value) for name, value in fields.items()]}
        for part, fields in parts.items()
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "version", "valueInteger": version}, *found]}


def _field(name: str, value: Any) -> Json:
    if isinstance(value, Mapping):
        return {"name": name, "part": [_field(inner, each) for inner, each in value.items()]}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"name": name, "part": [_field("item", each) for each in value]}
    if isinstance(value, bool):
        return {"name": name, "valueBoolean": value}
    return {"name": name, "valueInteger" if isinstance(value, int) else "valueString": value}


def patched(resource: Mapping[str, Any], operations: Any) -> Json:
    """Return *resource* after a JSON Patch (RFC 6902) of whole members: ``add``, ``replace``, ``remove`` and ``test``.

    Raises:
        Misfit: another operation, a place below a member, a member that is not there and would have to be, or no value.
    """
    changed = copy.deepcopy(dict(resource))
    if not isinstance(operations, list):
        raise Misfit(Problem("", "list_type"))
    for place, each in enumerate(operations):
        operation = each if isinstance(each, Mapping) else {}
        name = str(operation.get("path", "")).removeprefix("/")
        if operation.get("op") not in _OPERATIONS:
            raise Misfit(Problem(f"/{place}/op", "literal_error", _OPERATIONS))
        if not name.isalpha():
            raise Misfit(Problem(f"/{place}/path", "string_pattern_mismatch"))
        if operation["op"] != "add" and name not in changed:
            raise Misfit(Problem(f"/{place}/path", "missing"))
        if operation["op"] != "remove" and "value" not in operation:
            raise Misfit(Problem(f"/{place}/value", "missing"))
        if operation["op"] == "remove":
            del changed[name]
        elif operation["op"] != "test":
            changed[name] = operation["value"]
        elif changed[name] != operation["value"]:
            raise Misfit(Problem(f"/{place}/value", "literal_error"))
    return changed


_OPERATIONS: Final = ("add", "remove", "replace", "test")


def capability(base: str, date: str, release: str) -> Json:
    """Return the CapabilityStatement of the adapter at *base*."""
    search = [{"code": code} for code in ("read", "search-type")]
    task = {
        "type": "Task",
        "supportedProfile": [TASK_PROFILE],
        "interaction": [*search, {"code": "update"}, {"code": "patch"}],
        "versioning": "versioned-update",
        "updateCreate": False,
        "searchInclude": ["Task:focus"],
        "searchParam": _parameters("Task", TASK_PARAMETERS),
    }
    request = {
        "type": "ServiceRequest",
        "supportedProfile": [REQUEST_PROFILE],
        "interaction": search,
        "versioning": "versioned",
        "searchParam": _parameters("ServiceRequest", REQUEST_PARAMETERS),
        "operation": [{"name": "letter", "definition": "urn:nrmbus:fhir:letter"}],
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "nrmbus", "version": release},
        "implementation": {"description": "Referrals of one agency, above the door of its desk", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "patchFormat": ["application/json-patch+json"],
        "rest": [
            {"mode": "server", "security": {"description": "Bearer token of the desk"}, "resource": [task, request]}
        ],
    }


def _parameters(resource: str, names: Mapping[str, str]) -> list[Json]:
    return [
        {"name": name, "definition": f"{_DOCUMENTED}/{_defined(resource, name)}", "type": kind}
        for name, kind in names.items()
    ]


def _defined(resource: str, name: str) -> str:
    own = f"{'Resource' if name.startswith('_') else resource}-{name.lstrip('_')}"
    return _SHARED.get((resource, name), own)
