"""HTCDS 2.0, the Human Trafficking Case Data Standard of IOM: a case as one record, for those who may export it."""
