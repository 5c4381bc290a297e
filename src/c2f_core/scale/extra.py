"""The optional packages that OME-Zarr and distributed refining need."""

from importlib.util import find_spec

from c2f_core.errors import ConfigError

INSTALL = 'pip install "napari-c2f[scale]"'
"""Command that installs the optional packages."""
ZARR = ("zarr", "ome_zarr_models")
"""Packages that read and write OME-Zarr."""
DASK = ("dask", "distributed")
"""Packages that run a cluster of worker processes."""


def check_installed(packages: tuple[str, ...], purpose: str) -> None:
    """Check that optional packages are installed.

    Parameters
    ----------
    packages : tuple of str
        Names of the packages to import: `ZARR` or `DASK`.
    purpose : str
        What they are needed for, as the beginning of a sentence.

    Raises
    ------
    ConfigError
        If one of them is missing; the message says how to install it.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{purpose} needs the package {missing[0].replace('_', '-')}; install it with "
            f"{INSTALL}."
        )
