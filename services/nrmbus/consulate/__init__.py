"""Embassies and consulates: papers and journeys home, and own nationals found abroad."""
