"""Desk of an agency: ledger, inbox, relay, door, tasks. The desk's judgement is advice; the registrar decides."""
