"""The history that proves itself: one Merkle log per partition, on disk as C2SP tiles. See README.md."""
