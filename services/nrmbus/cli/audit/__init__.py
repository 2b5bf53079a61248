"""Commands that read the history: on record before anything is shown."""
