"""Errors shown to the user.

Every message is one clear sentence that says what is wrong and what to do.
"""


class C2FError(Exception):
    """Base of all errors that a user can mend."""


class ClassTableError(C2FError):
    """A class table is invalid, or a map holds values outside it."""


class DataError(C2FError):
    """A dataset or one of its files cannot be used."""


class ImageError(C2FError):
    """An image has a shape or dtype that cannot be refined."""


class ConfigError(C2FError):
    """A configuration contradicts itself or the data."""


class CheckpointError(C2FError):
    """A checkpoint is foreign, damaged or does not fit."""


class Cancelled(C2FError):
    """The user asked to stop before the work was done."""
