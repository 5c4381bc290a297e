"""Pairs in folders: `images/`, `coarse/` and, where there are some, `fine/`."""

from collections.abc import Container, Iterable
from pathlib import Path

from c2f_core.classes.table import ClassTable
from c2f_core.data.cityscapes import IMAGES, cityscapes_listing
from c2f_core.data.listing import Listing, unmatched_files
from c2f_core.data.pairs import FilePairs, PairFiles
from c2f_core.errors import DataError
from c2f_core.io.annotations import is_annotation_file
from c2f_core.io.images import ARRAY_SUFFIX, IMAGE_SUFFIXES


def images_by_stem(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name without ending, sorted as people count.

    Raises
    ------
    DataError
        Two files differ only in their ending.
    """
    return _by_stem(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def maps_by_stem(folder: Path, images: Container[str]) -> dict[str, Path]:
    """Map files of a folder by name without ending, sorted as people count.

    Annotation files count where they are named as one of the images and no
    map is: other JSON may lie beside maps.

    Raises
    ------
    DataError
        Two files differ only in their ending.
    """
    paths = [*folder.iterdir()]
    maps = [path for path in paths if path.suffix.lower() in (*IMAGE_SUFFIXES, ARRAY_SUFFIX)]
    drawn = {path.stem for path in maps}
    maps += [
        path
        for path in paths
        if path.stem in images and path.stem not in drawn and is_annotation_file(path)
    ]
    return _by_stem(maps)


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: (len(path.stem), path.name)):
        if path.name.startswith("."):
            continue
        if path.stem in found:
            raise DataError(
                f"{path.parent} holds both {found[path.stem].name} and {path.name}; keep one of "
                "them."
            )
        found[path.stem] = path
    return found


def folder_listing(root: str | Path, class_table: ClassTable) -> Listing:
    """List `images/ coarse/ fine/`, matched by name without ending.

    `fine/` may lack, or hold maps for some of the images only.

    Raises
    ------
    DataError
        A folder lacks, or there is no image.
    """
    root = Path(root)
    for name in ("images", "coarse"):
        if not (root / name).is_dir():
            raise DataError(f"{root} has no folder '{name}'; put the {name} files there.")
    images = images_by_stem(root / "images")
    coarse = maps_by_stem(root / "coarse", images)
    fine = maps_by_stem(root / "fine", images) if (root / "fine").is_dir() else {}
    if not images:
        raise DataError(f"{root / 'images'} holds no images; put .png, .jpg, .bmp or .tif there.")
    files = [
        PairFiles(stem, images[stem], coarse[stem], fine.get(stem))
        for stem in images
        if stem in coarse
    ]
    unmatched = [
        *unmatched_files(images, coarse, "image", "coarse map", root / "coarse"),
        *unmatched_files(coarse, images, "coarse map", "image", root / "images"),
        *unmatched_files(fine, images, "fine map", "image", root / "images"),
    ]
    return Listing(files, unmatched, class_table)


def fasseg_listing(root: str | Path) -> Listing:
    """List FASSEG frontal01 (coarse, V1) and frontal02 (fine, V2), .bmp or .png.

    Pairs are named "Train/1", "Test/7". Colours are decoded to the nearest class
    colour however far it is, as the label files are blended at all boundaries; maps
    with more such pixels than that are reported.

    Raises
    ------
    DataError
        The layout is another.
    """
    root = Path(root)
    files, unmatched = [], []
    for part in ("Train", "Test"):
        folders = [root / "V1" / f"{part}_RGB", root / "V1" / f"{part}_Labels"]
        folders.append(root / "V2" / f"{part}_Labels")
        for folder in folders:
            if not folder.is_dir():
                raise DataError(f"{root} is no FASSEG folder: {folder} lacks; unpack it whole.")
        images, coarse, fine = (images_by_stem(folder) for folder in folders)
        unmatched += unmatched_files(images, coarse, "image", "coarse map", folders[1])
        unmatched += unmatched_files(images, fine, "image", "fine map", folders[2])
        unmatched += unmatched_files(coarse, images, "coarse map", "image", folders[0])
        unmatched += unmatched_files(fine, images, "fine map", "image", folders[0])
        files += [
            PairFiles(f"{part}/{stem}", images[stem], coarse[stem], fine[stem])
            for stem in images
            if stem in coarse and stem in fine
        ]
    return Listing(files, unmatched, ClassTable.preset("fasseg"), blended=True)


def list_pairs(root: str | Path, class_table: ClassTable | None = None) -> Listing:
    """List a dataset in the layout of FASSEG or Cityscapes, or as `images/ coarse/ fine/`.

    Parameters
    ----------
    root : str or Path
    class_table : ClassTable, optional
        Needed for the folder layout; the others bring their own.

    Raises
    ------
    DataError
        The folder does not exist, or its layout is none of these.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"The data folder {root} does not exist; check the path.")
    if (root / "V1").is_dir() and (root / "V2").is_dir():
        return fasseg_listing(root)
    if (root / IMAGES).is_dir():
        return cityscapes_listing(root)
    if class_table is None:
        raise DataError(f"{root} needs a class table; name a preset or a TOML or JSON file.")
    return folder_listing(root, class_table)


def open_pairs(root: str | Path, class_table: ClassTable | None = None) -> FilePairs:
    """Open a dataset; see `list_pairs`.

    Raises
    ------
    DataError
        The folder does not exist, its layout is unknown, or a file has no partner.
    """
    return list_pairs(root, class_table).complete_pairs()
