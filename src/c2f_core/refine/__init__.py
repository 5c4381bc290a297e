"""Refiners: learned and classical, behind one interface."""
