"""Draw: a palette of classes and shapes to draw a coarse map with."""
