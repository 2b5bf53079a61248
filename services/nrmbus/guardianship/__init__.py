"""Guardianship and child commission: whoever stands up for a child. See ``README.md``."""
