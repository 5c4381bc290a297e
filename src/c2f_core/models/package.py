"""ONNX models, on their own or in a bioimage.io package: found and opened, but not run.

A package is a zip file, or a folder, with a description `rdf.yaml` that names the file of the
weights. Nothing is unpacked, and nothing outside the package is read.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import yaml

from c2f_core.documents import irregular_kind
from c2f_core.errors import CheckpointError

ONNX_SUFFIX, ZIP_SUFFIX = ".onnx", ".zip"
DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")
"""Names of the description of a package."""
LARGEST_MODEL = (1 << 31) - 1
"""Size in bytes of the largest ONNX model without files outside it."""
LARGEST_DESCRIPTION = 1 << 18
"""Size in bytes of the largest description; usual ones have a few kilobytes."""
LARGEST_GROWTH = 50
"""By how much a model may grow when it is unpacked; weights hardly shrink when they are packed."""


def is_exported(path: Path) -> bool:
    """Return whether a file is an ONNX model or a package, by its name."""
    return path.suffix.lower() in (ONNX_SUFFIX, ZIP_SUFFIX) or path.name in DESCRIPTIONS


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX model that is open for reading.

    Attributes
    ----------
    stream : binary file
        The model, at its beginning; it can be sought in.
    size : int
        Size of the model in bytes.
    sha256 : str or None
        Hash that the package gives for the model, in hexadecimal digits.
    """

    stream: IO[bytes]
    size: int
    sha256: str | None = None

    def read(self) -> bytes:
        """Read the whole model.

        Raises
        ------
        ValueError
            If its hash is not that which the package gives.
        """
        content = self.stream.read()
        if self.sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise ValueError("its weights are not those that it describes")
        return content


@contextmanager
def open_onnx(path: Path) -> Iterator[OnnxFile]:
    """Open an ONNX model or that in a package.

    Parameters
    ----------
    path : Path
        An .onnx file, a package (.zip), or the description `rdf.yaml` in the folder of a package.

    Yields
    ------
    OnnxFile

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or no such package, in this function or while
        the model is read.
    """
    try:
        kind = irregular_kind(path)
        if kind:
            raise CheckpointError(
                f"{path} is {kind}; choose an .onnx or .zip file that c2f-export wrote."
            )
        opened = _in_zip if path.suffix.lower() == ZIP_SUFFIX else _in_folder
        with opened(path) as file:
            if file.size > LARGEST_MODEL:
                raise ValueError("its weights are larger than 2 GB")
            yield file
    # Reading a zip file that is encrypted raises a RuntimeError.
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{path} is not a readable model ({reason}); choose a file that c2f-export wrote, or "
            "copy it again."
        ) from error


@contextmanager
def _in_folder(path: Path) -> Iterator[OnnxFile]:
    """Open an ONNX file, or that which a description names in its folder."""
    sha256 = None
    if path.name in DESCRIPTIONS:
        with path.open("rb") as description:
            source, sha256 = _weights(description, path)
        folder, path = path.parent.resolve(), (path.parent / source).resolve()
        if not path.is_relative_to(folder) or irregular_kind(path):
            raise ValueError("its weights are not a file in its folder")
    with path.open("rb") as stream:
        yield OnnxFile(stream, path.stat().st_size, sha256)


@contextmanager
def _in_zip(path: Path) -> Iterator[OnnxFile]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        name = next((name for name in DESCRIPTIONS if name in names), None)
        if name is None:
            raise of_other_program(path)
        with archive.open(name) as description:
            source, sha256 = _weights(description, path)
        if source not in names:
            raise ValueError("its weights are not in it")
        entry = archive.getinfo(source)
        if entry.file_size > LARGEST_GROWTH * entry.compress_size:
            raise ValueError(f"its weights grow more than {LARGEST_GROWTH}-fold when unpacked")
        with archive.open(entry) as stream:
            yield OnnxFile(stream, entry.file_size, sha256)


def _weights(description: IO[bytes], path: Path) -> tuple[str, str | None]:
    """Return the file of the weights that a description names, and its hash."""
    text = description.read(LARGEST_DESCRIPTION + 1)
    if len(text) > LARGEST_DESCRIPTION:
        raise ValueError("its description is too long")
    try:
        weights = yaml.safe_load(text)["weights"]["onnx"]
        source, sha256 = weights["source"], weights.get("sha256")
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("its description is damaged") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise of_other_program(path) from error
    if not isinstance(source, str) or not isinstance(sha256, str | None):
        raise of_other_program(path)
    return source, sha256


def of_other_program(path: Path) -> CheckpointError:
    """Return the error of a model that another program made."""
    return CheckpointError(
        f"{path} is a model of another program; choose one that c2f-train or c2f-export wrote."
    )
