"""Witness: co-signatures under the auditor's checkpoints."""
