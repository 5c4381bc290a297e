"""Pair datasets, splits and transforms."""
