"""The class-agnostic refiner: one trained network for maps of any classes."""
