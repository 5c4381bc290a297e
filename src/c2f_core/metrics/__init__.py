"""Segmentation scores and the calibration of confidence."""
