"""Letters: sealing, and the keys of cases that open them later."""
