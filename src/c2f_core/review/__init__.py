"""Doubtful regions of a refined map, and the decisions taken on them."""
