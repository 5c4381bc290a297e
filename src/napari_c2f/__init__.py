"""Coarse-to-fine refinement in napari."""
