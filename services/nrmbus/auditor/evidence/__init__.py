"""Evidence of a case: one file that a stranger can verify offline."""
