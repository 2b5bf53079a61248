"""Store: the ledger in SQLite, its tables and migrations."""
