"""International organisation: voluntary return and reintegration."""
