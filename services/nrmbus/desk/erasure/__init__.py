"""Erasure of cases, and destruction of sealing keys."""
