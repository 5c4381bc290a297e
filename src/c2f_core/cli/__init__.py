"""Console commands: thin wrappers around `c2f_core` functions."""
