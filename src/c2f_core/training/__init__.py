"""Training: steps, trainer, checkpoints, run folder."""
