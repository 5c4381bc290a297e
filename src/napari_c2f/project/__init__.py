"""Project: keep a folder of images with their maps, corrections and effort."""
