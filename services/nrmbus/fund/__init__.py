"""The fund that pays the one-time allowance. See ``README.md`` for its procedure."""
