"""Write pairs as a dataset in folders that training can read."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from unicodedata import normalize

from c2f_core.classes.table import ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.images import write_image
from c2f_core.io.maps import MapStyle, write_map

TABLE_FILE = "classes.json"
MAX_PALETTE_LABEL = 255


def write_pairs(root: str | Path, pairs: Iterable[Pair], class_table: ClassTable) -> Path:
    """Write pairs to `images/`, `coarse/` and `fine/`, and their class table to `classes.json`.

    Every file is written atomically, and no pair is overwritten.

    Parameters
    ----------
    root : str or Path
        Folder of the dataset. It is created if missing, and may have other pairs.
    pairs : iterable of Pair
        Pairs to write; their names become file names.
    class_table : ClassTable
        Class table of the pairs.

    Returns
    -------
    Path
        File of the class table.

    Raises
    ------
    DataError
        If a pair of the same name or another class table exists, or a file cannot be
        written.
    """
    root, pairs = Path(root), list(pairs)
    begin_dataset(root, ("images", "coarse", "fine"), class_table)
    _check_names(root, [pair.name for pair in pairs])
    for pair in pairs:
        _write_pair(root, pair, class_table)
    return root / TABLE_FILE


def begin_dataset(root: Path, folders: Iterable[str], class_table: ClassTable) -> None:
    """Create the folders of a dataset if they are missing, and write its class table.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    folders : iterable of str
        Names of the folders to create in it.
    class_table : ClassTable
        Class table of the dataset.

    Raises
    ------
    DataError
        If there are data with another class table, or a folder or file cannot be
        written.
    """
    table = root / TABLE_FILE
    if table.exists() and ClassTable.from_file(table) != class_table:
        raise DataError(f"{root} has data of other classes; choose another folder.")
    try:
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The folder {root} cannot be created ({error}); choose another one."
        ) from error
    write_table(root, class_table)


def write_table(root: Path, class_table: ClassTable) -> None:
    """Write the class table of a dataset atomically.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    class_table : ClassTable
        Class table to write.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with atomic_path(root / TABLE_FILE) as temporary:
        temporary.write_text(class_table.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _check_names(root: Path, names: Sequence[str]) -> None:
    """Check that names are distinct and that no image or map of any type has one of them."""
    composed = {normalize("NFC", name) for name in names}
    if len(composed) < len(names):
        raise DataError("Two pairs have the same name; rename one of them.")
    for kind in ("images", "coarse", "fine"):
        for path in sorted((root / kind).iterdir()):
            if normalize("NFC", path.stem) in composed:
                raise DataError(f"{path} already exists; choose another folder for these pairs.")


def _write_pair(root: Path, pair: Pair, class_table: ClassTable) -> None:
    maps = {"coarse": pair.coarse, "fine": pair.fine}
    largest = max(entry.index for entry in class_table.entries)
    style: MapStyle = "palette" if largest <= MAX_PALETTE_LABEL else "index"
    for kind, class_ids in maps.items():
        if class_ids is not None:
            path = root / kind / f"{pair.name}.png"
            write_map(path, class_table.to_labels(class_ids), class_table, style)
    image = root / "images" / f"{pair.name}.png"
    write_image(image, pair.image)  # Last, so that a pair with an image is complete.
