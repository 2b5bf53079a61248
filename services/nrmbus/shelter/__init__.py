"""A shelter. See ``README.md`` for its procedure."""
