"""Train: train a refiner in napari and compare runs."""
