"""Prosecution and court: proceedings, protection of witnesses, reviews, the end of access. See ``README.md``."""
