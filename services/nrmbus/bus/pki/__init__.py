"""Authority of the bus: who gets a certificate."""
