"""What every tool stands on: background tasks, the work queue, key bindings and settings."""

from napari_c2f.base.constants import keep_constants

keep_constants()
