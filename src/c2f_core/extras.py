"""The optional packages of the extras, and how to install them."""

from importlib.util import find_spec

from c2f_core.errors import MissingPackageError

EXTRAS = {
    "zarr": "scale",
    "ome_zarr_models": "scale",
    "dask": "scale",
    "distributed": "scale",
    "onnx": "share",
    "onnxruntime": "share",
    "bioimageio": "share",
}
"""Extra that brings each optional package, by the name that is imported."""
ZARR = ("zarr", "ome_zarr_models")
"""Packages that read and write OME-Zarr."""
DASK = ("dask", "distributed")
"""Packages that run a cluster of worker processes."""
ONNX = ("onnx", "onnxruntime")
"""Packages that read, write and run ONNX models."""
BIOIMAGEIO = (*ONNX, "bioimageio")
"""Packages that write bioimage.io packages."""


def check_installed(packages: tuple[str, ...], purpose: str) -> None:
    """Check that optional packages are installed.

    Parameters
    ----------
    packages : tuple of str
        Names of the packages to import: `ZARR`, `DASK`, `ONNX` or `BIOIMAGEIO`.
    purpose : str
        What they are needed for, as the beginning of a sentence.

    Raises
    ------
    MissingPackageError
        If one of them is missing; the message says how to install it.
    """
    missing = next((name for name in packages if find_spec(name) is None), None)
    if missing is not None:
        raise MissingPackageError(
            f"{purpose} needs the package {missing.replace('_', '-')}; install it with "
            f'pip install "napari-c2f[{EXTRAS[missing]}]".'
        )
