"""Signed log: Merkle tree, notes, checkpoints and co-signatures."""
