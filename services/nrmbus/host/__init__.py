"""Processes of a bus on one machine: the supervisor behind ``nrmbus up``, and what it starts."""
