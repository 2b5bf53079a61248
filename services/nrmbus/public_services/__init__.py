"""Health, education and employment services. See ``README.md`` for their procedure."""
