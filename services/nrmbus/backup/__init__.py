"""Backup of a bus, or of one agency's folder, and the way back: files by digest, and the history record by record."""
