"""Labour inspection and border service. See ``README.md`` for their procedure."""
