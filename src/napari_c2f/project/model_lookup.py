"""Finds the model that made a fine layer, from the record of its refinement."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from c2f_core.models.bundled import BUNDLED_FOLDER, bundled_models
from c2f_core.refine.run import file_hash
from c2f_core.refine.scope import Record
from napari_c2f.base.settings import RECENT_MODELS


def model_of_record(record: Record, files: Iterable[Path]) -> str:
    """Return the refiner of a refinement: a name or a file; empty if it is unknown.

    Parameters
    ----------
    record : dict
        Record of the refinement, see `c2f_core.refine.run.run_record`.
    files : iterable of Path
        Model files to compare with, besides bundled and recently used ones.
    """
    from c2f_core.refine.untrained import untrained_refiners

    name, wanted = str(record.get("refiner", "")), record.get("sha256")
    if wanted is None:
        return name if name in untrained_refiners() else ""
    for bundled in bundled_models():
        if _hash_of(BUNDLED_FOLDER / f"{bundled}.safetensors") == wanted:
            return bundled
    known = (*files, *map(Path, RECENT_MODELS.paths()))
    return next((str(path) for path in known if path.is_file() and _hash_of(path) == wanted), "")


def _hash_of(path: Path) -> str:
    return _hash(path, path.stat().st_mtime_ns)


@lru_cache
def _hash(path: Path, _changed: int) -> str:
    return file_hash(path)
