"""Maps of the label ids of Cityscapes: `*_gtFine_labelIds.png` and `*_gtCoarse_labelIds.png`.

M. Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding",
CVPR 2016. Ids as in `helpers/labels.py` of https://github.com/mcordts/cityscapesScripts.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from c2f_core.classes.report import DecodeReport, IdReport, MapReport
from c2f_core.classes.table import MAX_CLASS_IDS, UNLABELLED_ID, ClassTable
from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.images import read_map_pixels

FINE_ENDING, COARSE_ENDING = "_gtFine_labelIds.png", "_gtCoarse_labelIds.png"
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Label ids of the 19 evaluated classes, in the order of their train ids."""
KNOWN_IDS = (*range(34), 255)
"""All defined label ids; 255 is the id -1 of licence plates in 8 bits."""
IGNORED_IDS = tuple(sorted({*range(1, 34)} - {*LABEL_IDS}))
"""Label ids of what is known to be none of these classes, such as the ego vehicle."""


def is_label_id_map(path: Path) -> bool:
    """Return whether a file is a map of label ids by its name."""
    return path.name.endswith((FINE_ENDING, COARSE_ENDING))


def cityscapes_table() -> ClassTable:
    """Return the class table of the evaluated classes, whose labels are the train ids."""
    return ClassTable.preset("cityscapes")


def read_label_ids(path: Path) -> tuple[NDArray[np.uint8], MapReport]:
    """Read a map of label ids.

    Parameters
    ----------
    path : Path
        8-bit PNG.

    Returns
    -------
    class_ids : (Y, X) uint8 array
        Class ids of `cityscapes_table`, 255 for all ids that are not evaluated.
    report : MapReport
        Report on undefined label ids.

    Raises
    ------
    DataError
        If the file cannot be read or is not such a map.
    """
    label_ids = _read(path)
    lookup = np.full(MAX_CLASS_IDS, UNLABELLED_ID, dtype=np.uint8)
    lookup[list(LABEL_IDS)] = range(len(LABEL_IDS))
    return lookup[label_ids], _report(label_ids)


def _read(path: Path) -> NDArray[np.uint8]:
    label_ids = read_map_pixels(path)
    if label_ids.ndim != 2 or label_ids.dtype != np.uint8:
        raise DataError(
            f"{path} is not an 8-bit map of label ids (Y, X); use the original file of the dataset."
        )
    return label_ids


def _report(label_ids: NDArray[np.uint8]) -> MapReport:
    unknown = ~np.isin(label_ids, KNOWN_IDS)
    if not unknown.any():
        return DecodeReport(0, 0, (), label_ids.size)
    values = tuple(np.unique(label_ids[unknown]).tolist())
    row, column = divmod(int(unknown.argmax()), label_ids.shape[1])
    return IdReport(values, int(unknown.sum()), (row, column), label_ids.size)


def write_label_ids(path: Path, class_ids: NDArray[np.uint8], coarse: Path | None = None) -> None:
    """Write a map of label ids atomically, as the evaluation script of Cityscapes takes it.

    Parameters
    ----------
    path : Path
        8-bit PNG to write.
    class_ids : (Y, X) uint8 array
        Class ids of `cityscapes_table`, 255 where unlabelled, which becomes the label id 0.
    coarse : Path, optional
        Map of label ids whose `IGNORED_IDS` are kept: the classes say nothing about what is there.

    Raises
    ------
    DataError
        If a file cannot be read or written.
    """
    lookup = np.zeros(MAX_CLASS_IDS, dtype=np.uint8)
    lookup[: len(LABEL_IDS)] = LABEL_IDS
    label_ids = lookup[class_ids]
    if coarse is not None:
        before = _read(coarse)
        label_ids = np.where(np.isin(before, IGNORED_IDS), before, label_ids)
    with atomic_path(path) as temporary:
        Image.fromarray(label_ids).save(temporary, format="PNG")
