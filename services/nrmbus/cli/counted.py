"""Numbers with their nouns, as messages have them."""


def counted(number: float, one: str, many: str = "") -> str:
    """Return *number* with the noun *one* for it alone, or *many* for every other number: by default the noun with an s."""
    return f"{number:,.0f} {one if number == 1 else many or one + 's'}"
