"""An NGO that refers and is referred to. See ``README.md`` for its procedure."""
