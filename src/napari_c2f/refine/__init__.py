"""Refine: turn a coarse map into a fine one, once or live."""
