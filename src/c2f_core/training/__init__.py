"""Training: learners, trainer, run folder, and what is read from it."""
