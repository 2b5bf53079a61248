"""What every agency runs: ledger, inbox, relay, door, tasks. Its judgement is advice; the registrar's is the answer."""
