"""State: the desk's knowledge of cases, beside the ledger's rows."""
