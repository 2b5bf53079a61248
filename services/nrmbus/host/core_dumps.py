"""Prevention of core files of processes that hold keys or open letters."""

import contextlib
import resource


def leave_no_picture() -> None:
    """Forbid core files of this process and its children, because keys and open letters would be in them."""
    # 1, since Linux heeds no other limit where core files go to a program (core(5)); who may not raise it from 0 keeps 0.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
