"""``nrmbus verify``: evidence verified offline, by the very program that each evidence file holds as ``verify.py``."""

from pathlib import Path
from typing import Annotated

import typer

from nrmbus.auditor.evidence import verifier
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import AsJson

app = Commands()


@app.register(example="nrmbus verify case.evidence.jsonl --log KEY --witness KEY")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file that nrmbus export wrote.")],
    *,
    log: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="A key of the log; every key that you give must have signed."),
    ] = None,
    witness: Annotated[list[str] | None, typer.Option(metavar="KEY", help="A key of a witness.")] = None,
    quorum: Annotated[
        int | None, typer.Option(metavar="K", help="How many witnesses must have co-signed. (default: all)")
    ] = None,
    operator: Annotated[str | None, typer.Option(metavar="KEY", help="The key that signs the directory.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the evidence of a case with keys that you received separately; print one line for each check.

    Exit status: 0 verified; 3 consistent but not anchored, because no key that you gave vouches for it; 1 failed; 2
    wrong usage.
    """
    arguments = [*(["--json"] if as_json else []), *(["--operator", operator] if operator else [])]
    arguments += [part for key in log or () for part in ("--log", key)]
    arguments += [part for key in witness or () for part in ("--witness", key)]
    arguments += ["--quorum", str(quorum)] if quorum is not None else []
    raise typer.Exit(verifier.main([*arguments, "--", str(file)]))
