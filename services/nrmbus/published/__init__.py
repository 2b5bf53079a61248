"""Tools for ``schemas/``: what partners read is made here, and held as it was published."""
