"""Justice: proceedings opened, measures of protection, verdicts. CETS 197 art. 28 [S32].

Everybody on the way may read the kind of proceedings and the article of law; a file's number and the measures are sealed.
"""

from typing import Annotated

from nrmbus.events.codes import ProceedingsKind, ProtectionMeasure, VerdictOutcome
from nrmbus.events.model import (
    AgencyId,
    Code,
    Codes,
    Data,
    Day,
    Letter,
    Printable,
    Text,
    clear,
    sealed,
)


class CaseOpenedLetter(Letter):
    """Number of the file: it leads to papers that name the person."""

    file_number: Annotated[
        Printable | None, sealed("identity", "DC3", "Number of the file", example="Example 2026/144")
    ] = None


class CaseOpened(Data):
    """The prosecution, or a court, opens proceedings about what was done to the person [S32]."""

    type = "justice.case_opened"
    letter = CaseOpenedLetter

    kind: Annotated[ProceedingsKind, clear("What kind of proceedings", example="criminal_case")]
    article: Annotated[Code, clear("Article of the law that was broken, as a code", example="CC-144-1")]
    court: Annotated[
        AgencyId | None, clear("The court that hears it; left out while no court does", example="example-court")
    ] = None


class MeasureGrantedLetter(Letter):
    """Which measures protect the witness."""

    protection: Annotated[Codes[ProtectionMeasure] | None, sealed("story", "DC4", "The measures of protection")] = None
    protected_until: Annotated[Day | None, sealed("story", "DC4", "Last day of the measures", example="2026-12-31")] = (
        None
    )
    instructions: Annotated[
        Text | None, sealed("story", "DC4", "Who does what, and how", example="Example: seen by the judge alone.")
    ] = None


class MeasureGranted(Data):
    """The prosecution or the court protects the person as a witness. CETS 197 art. 28 [S32]."""

    type = "justice.measure_granted"
    letter = MeasureGrantedLetter

    article: Annotated[Code, clear("Article that the measure rests on, as a code", example="CETS-197-28")]


class VerdictRecordedLetter(Letter):
    """Number of the verdict: it leads to papers that name the person."""

    verdict_number: Annotated[
        Printable | None, sealed("identity", "DC3", "Number of the verdict", example="Example 1(101)-17/2026")
    ] = None


class VerdictRecorded(Data):
    """The court has decided, or the prosecution has discontinued; the proceedings are over [S32]."""

    type = "justice.verdict_recorded"
    letter = VerdictRecordedLetter

    outcome: Annotated[VerdictOutcome, clear("How the proceedings ended", example="conviction")]
    article: Annotated[Code, clear("Article of the law that was applied, as a code", example="CC-144-1")]
    confiscation: Annotated[bool, clear("Whether property was confiscated, which goes to the fund")]
