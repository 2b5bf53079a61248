"""Figures of the mechanism: coded facts in, tables for publication out. See ``README.md``."""
