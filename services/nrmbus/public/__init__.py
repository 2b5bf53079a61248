"""Public page of a hotline, and anonymous intake: a process of its own, without any key of the agency."""
