"""Cast of the field ``withhold_from`` to a version that names agencies by id alone."""

from typing import Final

from nrmbus.events.body import Body, Lowered

FIELD: Final = "withhold_from"
_OF_A_ROLE: Final = "_"
"""Character that no agency's id contains."""


def without_roles(body: Body) -> Lowered:
    """Return *body* without the roles that its sender withholds from; name the pointer of each."""
    named = body.data.get(FIELD, ())
    lost = tuple(f"/data/{FIELD}/{at}" for at, each in enumerate(named) if _OF_A_ROLE in each)
    ids = [each for each in named if _OF_A_ROLE not in each]
    data = {name: value for name, value in body.data.items() if name != FIELD}
    if ids:
        return Lowered(Body({**data, FIELD: ids}, body.letter), lost)
    return Lowered(Body(data, body.letter), (f"/data/{FIELD}",) if lost else ())
