"""Regions of a refined map to review, and the decisions on them."""
