"""Cast of the field ``withhold_from`` to a version that names agencies by id alone."""

from typing import Final

from nrmbus.events.body import Body, Lowered

FIELD: Final = "withhold_from"
_OF_A_ROLE_ALONE: Final = "_"
"""Character that no agency's id contains: a name with it can only be a role."""


def without_roles(body: Body) -> Lowered:
    """Return *body* without the names in ``withhold_from`` that can only be roles; name the pointer of each.

    A role without an underscore, such as ``court``, has the form of an id, and agencies have such ids. The name stays, so that
    a reader of the lower version withholds at least from the agency of that id. If the name were dropped as a role's, an
    agency that the person has refused would be missing, and `down` would not undo `up`.
    So the lower version does not show whether the sender meant all agencies of the role, and no loss is named.
    """
    named = body.data.get(FIELD, ())
    lost = tuple(f"/data/{FIELD}/{at}" for at, each in enumerate(named) if _OF_A_ROLE_ALONE in each)
    ids = [each for each in named if _OF_A_ROLE_ALONE not in each]
    data = {name: value for name, value in body.data.items() if name != FIELD}
    if ids:
        return Lowered(Body({**data, FIELD: ids}, body.letter), lost)
    return Lowered(Body(data, body.letter), (f"/data/{FIELD}",) if lost else ())
