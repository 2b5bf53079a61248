"""Log: a Merkle tree a partition, on disk, with its signed checkpoints."""
