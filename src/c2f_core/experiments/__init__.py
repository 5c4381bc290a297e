"""Evaluation, cross-validation, comparison and hyperparameter search."""
