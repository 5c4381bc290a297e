"""Datasets of pairs in folders: `images/`, `coarse/` and optionally `fine/`, or FASSEG."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from c2f_core.classes.table import ClassTable
from c2f_core.data.cityscapes import IMAGES, cityscapes_listing
from c2f_core.data.listing import Listing, UnmatchedFiles, unmatched_files
from c2f_core.data.pairs import FilePairs, PairFiles
from c2f_core.errors import C2FError, DataError
from c2f_core.io.annotations import is_annotation_file, open_annotations
from c2f_core.io.images import ARRAY_SUFFIX, IMAGE_SUFFIXES
from c2f_core.io.recognise import recognise_table

if TYPE_CHECKING:  # It takes long to import, and commands and widgets start without it.
    from c2f_core.data.simulation import Simulation


def images_by_stem(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by name without suffix, in natural order.

    Names are in composed form, as systems differ in how they write letters with accents.

    Parameters
    ----------
    folder : Path
        Folder with the images; its subfolders are not searched.

    Raises
    ------
    DataError
        If two file names differ only in their suffix or in their form.
    """
    return _by_stem(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def maps_by_stem(folder: Path, images: Mapping[str, Path]) -> dict[str, Path]:
    """Return the map files of a folder by name without suffix, in natural order.

    The images themselves are never maps. Annotation files are included if they have the name of
    an image, as other JSON files may be in the folder. If there is an image file of the same
    name, it is the map, unless the annotation file names it as the picture it was drawn on.

    Parameters
    ----------
    folder : Path
        Folder with the maps; its subfolders are not searched. It may be that of the images.
    images : mapping of str to Path
        Images by name without suffix.

    Raises
    ------
    DataError
        If two file names differ only in their suffix or in their form.
    """
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    annotations = {
        path: name_of(path)
        for path in paths
        if name_of(path) in images and is_annotation_file(path)
    }
    by_name = {name: path for path, name in annotations.items()}
    pictures = {path.resolve() for path in images.values()}
    maps = [
        path
        for path in paths
        if path.suffix.lower() in (*IMAGE_SUFFIXES, ARRAY_SUFFIX)
        and path.resolve() not in pictures
        and not _is_picture_of(path, by_name.get(name_of(path)))
    ]
    drawn = {name_of(path) for path in maps}
    return _by_stem([*maps, *(path for path, name in annotations.items() if name not in drawn)])


def _is_picture_of(path: Path, annotations: Path | None) -> bool:
    """Return whether a file is the photograph that an annotation file names as its image."""
    if annotations is None:
        return False
    try:
        named = {(annotations.parent / name).resolve() for name in _image_names(annotations)}
        return path.resolve() in named and recognise_table(path) is None
    except C2FError:
        return False  # Whoever reads the files says what is wrong with them.


def _image_names(annotations: Path) -> Iterator[str]:
    """Yield the names of the images in an annotation file, as paths of this system."""
    for name in open_annotations(annotations).images:
        yield name.replace("\\", "/")


def name_of(path: Path) -> str:
    """Return the name of a file without suffix, in composed form."""
    return normalize("NFC", path.stem)


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: (len(path.stem), path.name)):
        if path.name.startswith("."):
            continue
        name = name_of(path)
        if name in found:
            raise DataError(
                f"{path.parent} has both {found[name].name} and {path.name}; keep only one of them."
            )
        found[name] = path
    return found


def folder_listing(
    root: str | Path, class_table: ClassTable, simulation: "Simulation | None" = None
) -> Listing:
    """List the pairs in `images/`, `coarse/` and `fine/`, matched by name without suffix.

    `fine/` may be missing or incomplete; with a simulation, so may `coarse/`.

    Parameters
    ----------
    root : str or Path
        Folder with `images/` and `coarse/`.
    class_table : ClassTable
        Class table of the maps.
    simulation : Simulation, optional
        Simulation of coarse maps, for images with a fine map alone.

    Raises
    ------
    DataError
        If a folder is missing, or there are no images.
    """
    root = Path(root)
    for name in ("images", "coarse" if simulation is None else "fine"):
        if not (root / name).is_dir():
            raise DataError(f"{root} has no folder '{name}'; put the {name} files there.")
    images = images_by_stem(root / "images")
    coarse, fine = (
        maps_by_stem(root / name, images) if (root / name).is_dir() else {}
        for name in ("coarse", "fine")
    )
    if not images:
        raise DataError(f"{root / 'images'} has no images; put .png, .jpg, .bmp or .tif there.")
    drawn = {*coarse} if simulation is None else {*coarse, *fine}
    files = [
        PairFiles(stem, images[stem], coarse.get(stem), fine.get(stem))
        for stem in images
        if stem in drawn
    ]
    unmatched = [
        *unmatched_files(images, drawn, "image", "coarse map", root / "coarse"),
        *unmatched_files(coarse, images, "coarse map", "image", root / "images"),
        *unmatched_files(fine, images, "fine map", "image", root / "images"),
    ]
    return Listing(files, unmatched, class_table, simulation=simulation)


def fasseg_listing(root: str | Path) -> Listing:
    """List the pairs of FASSEG: frontal01 (V1, coarse) and frontal02 (V2, fine), .bmp or .png.

    Pairs are named "Train/1", "Test/7". As all boundaries in the label files are
    blended, every colour is decoded to the nearest class. Maps with more blended
    pixels than usual are reported.

    Parameters
    ----------
    root : str or Path
        Folder with `V1/` and `V2/`.

    Raises
    ------
    DataError
        If a folder is missing.
    """
    files: list[PairFiles] = []
    unmatched: list[UnmatchedFiles] = []
    for part in ("Train", "Test"):
        found, without_partner = _fasseg_part(Path(root), part)
        files += found
        unmatched += without_partner
    return Listing(files, unmatched, ClassTable.preset("fasseg"), blended=True)


def _fasseg_part(root: Path, part: str) -> tuple[list[PairFiles], list[UnmatchedFiles]]:
    folders = [root / "V1" / f"{part}_RGB", root / "V1" / f"{part}_Labels"]
    folders.append(root / "V2" / f"{part}_Labels")
    for folder in folders:
        if not folder.is_dir():
            raise DataError(
                f"{root} is not a FASSEG folder, as {folder} is missing; unpack the whole dataset."
            )
    images, coarse, fine = (images_by_stem(folder) for folder in folders)
    unmatched = [
        *unmatched_files(images, coarse, "image", "coarse map", folders[1]),
        *unmatched_files(images, fine, "image", "fine map", folders[2]),
        *unmatched_files(coarse, images, "coarse map", "image", folders[0]),
        *unmatched_files(fine, images, "fine map", "image", folders[0]),
    ]
    files = [
        PairFiles(f"{part}/{stem}", images[stem], coarse[stem], fine[stem])
        for stem in images
        if stem in coarse and stem in fine
    ]
    return files, unmatched


def list_pairs(
    root: str | Path,
    class_table: ClassTable | None = None,
    simulation: "Simulation | None" = None,
) -> Listing:
    """List the pairs of a dataset: FASSEG, Cityscapes, or `images/`, `coarse/` and `fine/`.

    Parameters
    ----------
    root : str or Path
        Folder of the dataset.
    class_table : ClassTable, optional
        Class table of the maps. It is required for `images/`, `coarse/` and `fine/`,
        and ignored for FASSEG and Cityscapes, which have their own.
    simulation : Simulation, optional
        Simulation of coarse maps for images in `images/` with a fine map alone; without
        one, each image needs a coarse map.

    Raises
    ------
    DataError
        If the folder does not exist, or has none of these layouts.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"The data folder {root} does not exist; check the path.")
    if (root / "V1").is_dir() and (root / "V2").is_dir():
        return fasseg_listing(root)
    if (root / IMAGES).is_dir():
        return cityscapes_listing(root)
    if class_table is None:
        raise DataError(f"{root} needs a class table; give a preset or a TOML or JSON file.")
    return folder_listing(root, class_table, simulation)


def open_pairs(
    root: str | Path,
    class_table: ClassTable | None = None,
    simulation: "Simulation | None" = None,
) -> FilePairs:
    """Open the pairs of a dataset, all of which must be complete.

    Parameters
    ----------
    root, class_table, simulation
        See `list_pairs`.

    Raises
    ------
    DataError
        If the folder does not exist, its layout is unknown, or a file has no partner.
    """
    return list_pairs(root, class_table, simulation).complete_pairs()
