"""Cases of an agency that retires: the keys destroyed here, and the cases missing in the agency's request."""

from collections.abc import Collection, Mapping

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.counted import counted
from nrmbus.desk.erasure.departure import delete, part_in
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store.place import place_of, run


def left_out(folder: BusFolder, agency: str, disposals: Mapping[str, str | None]) -> list[str]:
    """Return the cases that still keep admitters from signing, in lines for the file of ``--cases``.

    Raises:
        BusError: the ledger is another's.
    """
    try:
        place = place_of(folder.agency(agency))
        known = run(part_in(place, bus=folder.settings.bus, agency=agency), place)
    except DeskError as error:
        raise BusError(str(error)) from None
    left = [f'"{case}":' for case in known if case not in disposals]
    said = (
        f"No admitter will sign the request yet: it leaves out {counted(len(left), 'case')} of {agency}. Write into a file for",
        "--cases, behind each `deleted` or `{handed_over: AGENCY}`, and ask again:",
    )
    return [*said, *left] if left else []


def destroyed(folder: BusFolder, agency: str, cases: Collection[str]) -> str:
    """Destroy the keys to the letters of *cases* at *agency*, and what was typed and never sent; return a sentence about it.

    Raises:
        BusError: the ledger is another's, or something of these cases is not answered yet.
    """
    try:
        place = place_of(folder.agency(agency))
        here = run(delete(place, bus=folder.settings.bus, agency=agency, cases=cases), place)
    except DeskError as error:
        raise BusError(str(error)) from None
    return (
        f"The keys to the letters of {counted(len(cases), 'case')} were destroyed here, and what was typed and never sent."
        if here
        else "There is no ledger here, so nothing was destroyed: the deletion rests on the agency's word."
    )
