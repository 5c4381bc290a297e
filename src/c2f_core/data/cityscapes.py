"""Pairs in the layout of Cityscapes: `leftImg8bit/`, `gtCoarse/` and `gtFine/`."""

from pathlib import Path
from unicodedata import normalize

from c2f_core.data.listing import Listing, unmatched_files
from c2f_core.data.pairs import PairFiles
from c2f_core.errors import DataError
from c2f_core.io.label_ids import COARSE_ENDING, FINE_ENDING, cityscapes_table

IMAGES, COARSE, FINE = "leftImg8bit", "gtCoarse", "gtFine"
IMAGE_ENDING = "_leftImg8bit.png"


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
    images = _files(root / IMAGES, parts, IMAGE_ENDING)
    coarse = _files(root / COARSE, parts, COARSE_ENDING)
    fine = _files(root / FINE, parts, FINE_ENDING)
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
    return Listing(files, unmatched, cityscapes_table())


def _folders(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()


def _files(root: Path, parts: list[str], ending: str) -> dict[str, Path]:
    """Return the files of one kind by "part/city/frame"."""
    return {
        f"{normalize('NFC', part)}/{frame}": path
        for part in parts
        for frame, path in frames_of(root / part, ending).items()
    }


def frames_of(folder: Path, ending: str = IMAGE_ENDING) -> dict[str, Path]:
    """Return the files of a part of the dataset, such as `leftImg8bit/val`.

    Parameters
    ----------
    folder : Path
        Folder of the part, with a folder for each city.
    ending : str
        End of the names of the files.

    Returns
    -------
    dict of str to Path
        Files by city and frame, such as "aachen/aachen_000000_000019"; empty if the
        folder has another layout.
    """
    return {
        normalize("NFC", f"{path.parent.name}/{path.name.removesuffix(ending)}"): path
        for path in sorted(folder.glob(f"*/*{ending}"))
    }
