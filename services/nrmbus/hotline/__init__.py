"""The hotline. See ``README.md`` for its procedure."""
