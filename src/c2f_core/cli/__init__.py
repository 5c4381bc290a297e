"""Console commands: thin skins over `c2f_core` functions."""
