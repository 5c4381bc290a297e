"""napari layers to and from arrays: lineage, strokes, locks, planes and shapes."""
