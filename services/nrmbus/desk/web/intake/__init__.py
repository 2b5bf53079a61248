"""Anonymous messages at a hotline: what came in, opened on record, answered, closed, or the beginning of a signal."""
