"""The validated configuration of a training run, its presets and its files."""
