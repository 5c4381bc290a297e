"""Class tables: their schema, presets and edits, and reports on maps."""
