"""What every tool stands on: background tasks, the work queue, key bindings and settings."""
