"""From the plain words of a step to a draft: what a desk's door does with a form."""

import re
from typing import Final

from nrmbus.events.errors import Invalid, Problem
from nrmbus.events.model import Draft
from nrmbus.events.registry import data_type
from nrmbus.play.stage import Words

_BASIS: Final = re.compile(r"[\x20-\x7e]{1,200}")
"""Legal bases that the envelope takes."""


def draft_of(words: Words) -> Draft:
    """Put *words* into the models of version 1 of their type; ``legal_basis`` goes from the data to the envelope.

    Raises:
        UnknownType: no type of that name is published.
        Invalid: data, letter or envelope do not fit the schema.

    """
    model = data_type(words.type, 1)
    data = {**words.data, **({"to": sorted(set(words.to))} if words.to else {})}
    legal_basis = data.pop("legal_basis", None)
    if model.letter is None and words.sealed is not None:
        raise Invalid((Problem("", "no_letter"),))
    if legal_basis is not None and not (isinstance(legal_basis, str) and _BASIS.fullmatch(legal_basis)):
        raise Invalid((Problem("/legal_basis", "string_pattern_mismatch"),))
    return Draft(
        type=words.type,
        subject=words.subject,
        data=model.from_mapping(data),
        time=words.time,
        letter=model.letter.from_mapping(words.sealed) if model.letter and words.sealed is not None else None,
        actor=words.actor,
        approver=words.approver,
        legalbasis=legal_basis,
        consent=" ".join(words.consents) or None,
        referral=words.ref,
        incident=words.incident,
        causationid=words.cause,
    )
