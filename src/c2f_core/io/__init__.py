"""Read and write images, class maps, annotations and tables."""
