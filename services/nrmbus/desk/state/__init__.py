"""State: what the desk knows of cases, beside the ledger's rows."""
