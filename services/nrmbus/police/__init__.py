"""The police's special unit. See ``README.md`` for its procedure."""
