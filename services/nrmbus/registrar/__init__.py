"""Judge, number, route, exactly once: the one writer of ``nrm.cases`` and of every inbox."""
