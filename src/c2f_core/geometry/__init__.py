"""Windows, patches, lazily read planes and shapes in pixel coordinates."""
