"""The assistance centre. See ``README.md`` for its procedure."""
