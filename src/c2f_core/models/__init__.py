"""Model files: bundled weights, checkpoints and their metadata."""
