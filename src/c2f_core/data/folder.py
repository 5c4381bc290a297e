"""Pairs in folders: `images/`, `coarse/` and, where there are some, `fine/`."""

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from c2f_core.classes import DEFAULT_TOLERANCE, ClassTable
from c2f_core.data.pairs import FilePairs, PairFiles
from c2f_core.errors import DataError
from c2f_core.formats import is_annotation_file
from c2f_core.io import ARRAY_SUFFIX, IMAGE_SUFFIXES

FASSEG_TOLERANCE = 442.0
"""Any RGB distance: FASSEG's boundaries are blends of the class colours."""


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


@dataclass(frozen=True)
class Lonely:
    """Files of one kind whose partner lacks.

    Attributes
    ----------
    names : tuple of str
        Without ending, in order.
    kind, partner : str
        As in "image" and "coarse map".
    folder : Path
        Where the partners belong.
    """

    names: tuple[str, ...]
    kind: str
    partner: str
    folder: Path

    def message(self) -> str:
        """Say in a sentence how many there are, which is the first, and what to do."""
        return (
            f"{len(self.names)} of the {self.kind}s have no {self.partner}, first "
            f"'{self.names[0]}'; add it to {self.folder} under the same name or take the "
            f"{self.kind} away."
        )

    def messages(self) -> list[str]:
        """Say it for each file."""
        return [
            f"{name}: the {self.kind} has no {self.partner}; add it to {self.folder} under the "
            f"same name or take the {self.kind} away."
            for name in self.names
        ]


@dataclass(frozen=True)
class Listing:
    """Files of a dataset by name, before any of them is read.

    Attributes
    ----------
    files : list of PairFiles
        Whole pairs.
    lonely : list of Lonely
        What has no partner.
    class_table : ClassTable
    tolerance : float
        See `ClassTable.decode_colours`.
    """

    files: list[PairFiles]
    lonely: list[Lonely]
    class_table: ClassTable
    tolerance: float = DEFAULT_TOLERANCE

    def pairs(self) -> FilePairs:
        """Open the whole pairs."""
        return FilePairs(self.files, self.class_table, self.tolerance)

    def complete_pairs(self) -> FilePairs:
        """Open the pairs.

        Raises
        ------
        DataError
            A file has no partner.
        """
        if self.lonely:
            raise DataError(self.lonely[0].message())
        return self.pairs()


def _lonely(
    names: Collection[str], partners: Collection[str], kind: str, partner: str, folder: Path
) -> list[Lonely]:
    missing = tuple(name for name in names if name not in partners)
    return [Lonely(missing, kind, partner, folder)] if missing else []


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
    lonely = [
        *_lonely(images, coarse, "image", "coarse map", root / "coarse"),
        *_lonely(coarse, images, "coarse map", "image", root / "images"),
        *_lonely(fine, images, "fine map", "image", root / "images"),
    ]
    return Listing(files, lonely, class_table)


def folder_pairs(root: str | Path, class_table: ClassTable) -> FilePairs:
    """Open `images/ coarse/ fine/`; see `folder_listing`.

    Raises
    ------
    DataError
        A folder lacks, an image lacks its coarse map, or a map lacks its image.
    """
    return folder_listing(root, class_table).complete_pairs()


def fasseg_listing(root: str | Path) -> Listing:
    """List FASSEG frontal01 (coarse, V1) and frontal02 (fine, V2), .bmp or .png.

    Pairs are named "Train/1", "Test/7". Colours are decoded to the nearest class
    colour however far it is, as the label files are blended at all boundaries.

    Raises
    ------
    DataError
        The layout is another.
    """
    root = Path(root)
    files, lonely = [], []
    for part in ("Train", "Test"):
        folders = [root / "V1" / f"{part}_RGB", root / "V1" / f"{part}_Labels"]
        folders.append(root / "V2" / f"{part}_Labels")
        for folder in folders:
            if not folder.is_dir():
                raise DataError(f"{root} is no FASSEG folder: {folder} lacks; unpack it whole.")
        images, coarse, fine = (images_by_stem(folder) for folder in folders)
        lonely += _lonely(images, coarse, "image", "coarse map", folders[1])
        lonely += _lonely(images, fine, "image", "fine map", folders[2])
        files += [
            PairFiles(f"{part}/{stem}", images[stem], coarse[stem], fine[stem])
            for stem in images
            if stem in coarse and stem in fine
        ]
    return Listing(files, lonely, ClassTable.preset("fasseg"), FASSEG_TOLERANCE)


def fasseg_pairs(root: str | Path) -> FilePairs:
    """Open FASSEG; see `fasseg_listing`.

    Raises
    ------
    DataError
        The layout is another, or a file lacks.
    """
    return fasseg_listing(root).complete_pairs()


def list_pairs(root: str | Path, class_table: ClassTable | None = None) -> Listing:
    """List a dataset in FASSEG's layout or as `images/ coarse/ fine/`.

    Parameters
    ----------
    root : str or Path
    class_table : ClassTable, optional
        Needed for the folder layout; FASSEG brings its own.

    Raises
    ------
    DataError
        The folder does not exist, or its layout is neither.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"The data folder {root} does not exist; check the path.")
    if (root / "V1").is_dir() and (root / "V2").is_dir():
        return fasseg_listing(root)
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
