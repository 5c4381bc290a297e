"""The instant refiner: it learns from the image and the coarse map at hand alone."""
