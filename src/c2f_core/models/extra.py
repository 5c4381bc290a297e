"""The optional packages that exchanging models with other programs needs."""

from importlib.util import find_spec

from c2f_core.errors import MissingPackageError

INSTALL = 'pip install "napari-c2f[share]"'
"""Command that installs the optional packages."""
ONNX = ("onnx", "onnxruntime")
"""Packages that read, write and run ONNX models."""
BIOIMAGEIO = (*ONNX, "bioimageio")
"""Packages that write bioimage.io packages."""


def check_installed(packages: tuple[str, ...], purpose: str) -> None:
    """Check that optional packages are installed.

    Parameters
    ----------
    packages : tuple of str
        Names of the packages to import: `ONNX` or `BIOIMAGEIO`.
    purpose : str
        What they are needed for, as the beginning of a sentence.

    Raises
    ------
    MissingPackageError
        If one of them is missing; the message says how to install it.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"{purpose} needs packages that are not installed; install them with {INSTALL}."
        )
