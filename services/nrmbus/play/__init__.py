"""The player: a scenario file played against a bus, or in memory against the Rules alone. See ``README.md``."""
