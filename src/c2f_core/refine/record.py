"""Records of refinements in JSON: all that is needed to get the same map again."""

import base64
import hashlib
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.geometry.arrays import Patch, Sliceable
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.report import ScopeReport
from c2f_core.refine.scope import Scope

Record = dict[str, Any]
VALUES = np.dtype("<u2")
"""Dtype in which labels are stored; it can store all labels of a class table."""


def run_record(
    refiner: RefinerInterface,
    scope: Scope,
    report: ScopeReport,
    plane: tuple[int, ...] | None = (),
    painted: Sequence[Patch] = (),
) -> Record:
    """Describe a refinement.

    Parameters
    ----------
    refiner : RefinerInterface
        The refiner. A learned one is identified by the `sha256` of its file, which
        is None for classical ones.
    scope : Scope
        Where the map was allowed to change.
    report : ScopeReport
        What changed.
    plane : tuple of int, optional
        Index of the only plane of a stack that was refined, None for all planes.
    painted : sequence of Patch
        Hand-painted pixels that the refiner saw.

    Returns
    -------
    dict
        Only strings, numbers, lists and None, which stands for unknown values.
    """
    return {
        "refiner": refiner.name,
        "sha256": None if refiner.source is None else file_hash(refiner.source),
        "plane": None if plane is None else list(plane),
        "scope": scope_record(scope),
        "painted": [_patch_record(patch) for patch in painted],
        "pixels": report.pixels,
        "changed": report.changed,
        "by_class": [[before, after, count] for (before, after), count in report.by_class.items()],
        "mean_confidence": _number(report.mean_confidence),
        "seconds": report.seconds,
    }


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _patch_record(patch: Patch) -> Record:
    return {
        "slices": [[axis.start, axis.stop] for axis in patch.slices],
        "mask": _packed(patch.mask),
        "values": _compressed(patch.values.astype(VALUES).tobytes()),
    }


def scope_record(scope: Scope) -> Record:
    """Return a scope as JSON; `scope_of_record` reads it."""
    return {
        "box": None if scope.box is None else [[axis.start, axis.stop] for axis in scope.box],
        "mask": None if scope.mask is None else _packed(scope.mask),
        "classes": None if scope.classes is None else list(scope.classes),
        "locked": list(scope.locked),
        "protected": None if scope.protected is None else _packed(scope.protected),
        "band": scope.band,
        "minimal_confidence": scope.minimal_confidence,
    }


def scope_of_record(record: Record) -> Scope:
    """Return the scope of a record made by `scope_record`."""
    box, classes = record["box"], record["classes"]
    return Scope(
        box=None if box is None else (slice(*box[0]), slice(*box[1])),
        mask=_unpacked(record["mask"]),
        classes=None if classes is None else tuple(classes),
        locked=tuple(record["locked"]),
        protected=_unpacked(record["protected"]),
        band=record["band"],
        minimal_confidence=record["minimal_confidence"],
    )


def _packed(mask: Sliceable) -> Record:
    """Return a mask as its shape and its compressed bits in base 64."""
    bits = np.packbits(np.asarray(mask[...], dtype=np.bool_))
    return {
        "shape": list(mask.shape),
        "bits": _compressed(bits.tobytes()),
    }


def _unpacked(record: Record | None) -> NDArray[np.bool_] | None:
    return None if record is None else _bits(record)


def _bits(record: Record) -> NDArray[np.bool_]:
    bits = np.frombuffer(_decompressed(record["bits"]), dtype=np.uint8)
    count = math.prod(record["shape"])
    return np.unpackbits(bits, count=count).astype(np.bool_).reshape(record["shape"])


def _compressed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode("ascii")


def _decompressed(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
