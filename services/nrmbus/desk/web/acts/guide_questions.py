"""Questions of the guide for a first-time worker, page by page."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nrmbus.desk.web.acts import form
from nrmbus.desk.web.acts.form import Field
from nrmbus.events.codes import AgeBand, ChildBasis, ConsentForm, Service, Sex, ToldBy

GUIDE: Final = "guide"
"""Type of the draft: it becomes several events."""
SEEN, PERSON, DANGER, NEED = "seen", "person", "danger", "need"
HELP, CONSENT, LETTER = "help", "consent", "letter"
GUARDIANS: Final = f"{GUIDE}.guardians"
"""Name of the question that is asked where several agencies have the role of a guardian body."""

INDICATORS: Final[Mapping[str, tuple[str, ...]]] = {
    "DR": ("DR-01", "DR-02", "DR-03", "DR-04"),
    "CR": ("CR-01", "CR-02", "CR-03", "CR-04"),
    "RV": ("RV-01", "RV-02", "RV-03"),
    "EX": ("EX-01", "EX-02", "EX-03", "EX-04"),
    "CD": ("CD-01", "CD-02", "CD-03", "CD-04", "CD-05", "CD-06"),
    "VD": ("VD-01", "VD-02", "VD-03"),
}
"""Checklist by the dimensions of the ILO's operational indicators; texts and numbers are this project's own [D]."""
COUNTS: Final = frozenset({"/sealed/counts", "/sealed/indicator_counts"})
"""Fields with the number of indicators of each kind: left empty, they follow from the indicators that are ticked."""
_COUNTED: Final = {
    "deception": ("DR",),
    "coercion": ("CR", "CD"),
    "vulnerability": ("RV", "VD"),
    "exploitation": ("EX",),
}


def counts_of(codes: Iterable[str]) -> dict[str, int]:
    """Return how many indicators of each kind are among *codes*, with or without the name of the list; kinds with none are left out."""
    found = [code.split("-")[-2] for code in codes]
    counts = {name: sum(each in keys for each in found) for name, keys in _COUNTED.items()}
    return {name: count for name, count in counts.items() if count}


def _ask(name: str, label: str, kind: form.Kind, **more: Any) -> Field:
    return Field(f"/{GUIDE}/{name}", label, kind, **{"is_required": True, **more})


def _code(name: str, label: str, list: str, codes: tuple[str, ...], **more: Any) -> Field:
    return _ask(name, label, "choice", list=list, codes=codes, **more)


def _codes(of: Any) -> tuple[str, ...]:
    return tuple(of.__args__)


_SEEN_LABELS: Final = {
    "DR": "Before: how the person was brought into it",
    "CR": "Before: force and debt",
    "RV": "What was used against the person",
    "EX": "Now: work and life",
    "CD": "Now: control",
    "VD": "Now: dependence",
}
QUESTIONS: Final[Mapping[str, tuple[Field, ...]]] = {
    SEEN: (
        _code("kind", "What may the person be used for?", "guide.kind", ("labour", "sexual", "unclear")),
        *(
            _ask(key.lower(), _SEEN_LABELS[key], "choices", list="indicator", codes=codes, is_required=False)
            for key, codes in INDICATORS.items()
        ),
        _ask("asked", "Did the person ask for help?", "yes_no"),
        _code("told_by", "Where do you know it from?", "ToldBy", _codes(ToldBy)),
    ),
    PERSON: (
        _code("child", "Is the person under 18?", "guide.child", ("no", "yes", "unclear")),
        _code(
            "basis", "What does this rest on?; owed for a child or an unclear age", "ChildBasis",
            _codes(ChildBasis), is_required=False,
        ),
        _code("age_band", "Age band", "AgeBand", _codes(AgeBand), is_required=False),
        _code("sex", "Sex", "Sex", _codes(Sex), is_required=False),
        _ask("language", "Language spoken, ISO 639-2/T", "text", is_required=False, lookup="language"),
        _ask("interpreter", "Does the person need an interpreter?", "yes_no", is_required=False),
        _ask("abroad", "Was the person found outside the country?", "yes_no"),
    ),
    DANGER: (_code("urgency", "Is the person in danger now?", "guide.danger", ("emergency", "urgent", "normal")),),
    NEED: (_ask("services", "What does the person need?", "choices", list="Service", codes=_codes(Service)),),
    HELP: (
        _ask("to", "Whom do you refer to?", "agencies"),
        _ask("guardians", "Which guardian bodies are told?; at least one of each kind", "agencies"),
    ),
    CONSENT: (
        _ask("sharing", "Who may be told about the person? Ask about each agency", "agencies"),
        _ask("accepts", "From whom does the person accept services?", "agencies", is_required=False),
        _ask("refuses_unit", "Does the person refuse that the deciding body is told?", "yes_no"),
        _code("form", "How was the consent given?", "ConsentForm", _codes(ConsentForm)),
    ),
}  # fmt: skip
"""Questions of each page; the page of the letter has the fields of a referral's letter."""
