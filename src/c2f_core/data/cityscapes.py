"""Pairs in the layout of Cityscapes: `leftImg8bit/`, `gtCoarse/` and `gtFine/`.

M. Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding",
CVPR 2016. Ids as in `helpers/labels.py` of https://github.com/mcordts/cityscapesScripts.
"""

from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import MAX_CLASS_IDS, UNLABELLED_ID, ClassTable
from c2f_core.data.listing import Listing, unmatched_files
from c2f_core.data.pairs import PairFiles
from c2f_core.errors import DataError

IMAGES, COARSE, FINE = "leftImg8bit", "gtCoarse", "gtFine"
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Label ids of the 19 evaluated classes, in the order of their train ids."""
KNOWN_IDS = (*range(34), 255)
"""All defined label ids; 255 is the id -1 of licence plates in 8 bits."""


def class_ids_by_label_id() -> NDArray[np.int16]:
    """Return the class id by label id; -1 for undefined label ids.

    Returns
    -------
    (256,) int16 array
    """
    class_ids = np.full(MAX_CLASS_IDS, -1, dtype=np.int16)
    class_ids[list(KNOWN_IDS)] = UNLABELLED_ID
    class_ids[list(LABEL_IDS)] = range(len(LABEL_IDS))
    return class_ids


def cityscapes_listing(root: str | Path) -> Listing:
    """List the pairs of Cityscapes in train, train_extra and val.

    Pairs are named "train/aachen/aachen_000000_000019". `gtFine/` may be missing or
    incomplete, as it is for train_extra.

    Parameters
    ----------
    root : str or Path
        Folder with `leftImg8bit/` and `gtCoarse/`.

    Raises
    ------
    DataError
        If no part has both images and coarse maps.
    """
    root = Path(root)
    parts = sorted(_folders(root / IMAGES) & _folders(root / COARSE))
    if not parts:
        raise DataError(
            f"{root} has no part such as 'train' in both {IMAGES} and {COARSE}; unpack both "
            "archives of Cityscapes into it."
        )
    images = _files(root, parts, IMAGES, IMAGES)
    coarse = _files(root, parts, COARSE, f"{COARSE}_labelIds")
    fine = _files(root, parts, FINE, f"{FINE}_labelIds")
    files = [
        PairFiles(name, path, coarse[name], fine.get(name))
        for name, path in images.items()
        if name in coarse
    ]
    unmatched = [
        *unmatched_files(images, coarse, "image", "coarse map", root / COARSE),
        *unmatched_files(coarse, images, "coarse map", "image", root / IMAGES),
        *unmatched_files(fine, images, "fine map", "image", root / IMAGES),
    ]
    table = ClassTable.preset("cityscapes")
    return Listing(files, unmatched, table, class_id_lookup=class_ids_by_label_id())


def _folders(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()


def _files(root: Path, parts: list[str], folder: str, kind: str) -> dict[str, Path]:
    """Return the files of one kind by "part/city/frame"."""
    ending = f"_{kind}.png"
    return {
        normalize("NFC", f"{part}/{path.parent.name}/{path.name.removesuffix(ending)}"): path
        for part in parts
        for path in sorted((root / folder / part).glob(f"*/*{ending}"))
    }
