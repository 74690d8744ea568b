"""A regular package, since others (pyswarms) install a top-level `tests` too."""
