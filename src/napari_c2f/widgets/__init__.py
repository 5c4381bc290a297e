"""Widgets: thin views over the public functions of `c2f_core`."""
