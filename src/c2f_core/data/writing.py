"""Write pairs as a dataset of files, so that training reads them as any other."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from c2f_core.classes.table import ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.images import write_image
from c2f_core.io.maps import MapStyle, write_map

TABLE_FILE = "classes.json"
LARGEST_PALETTE_INDEX = 255


def write_pairs(root: str | Path, pairs: Iterable[Pair], class_table: ClassTable) -> Path:
    """Write pairs to `images/ coarse/ fine/` and their class table to `classes.json`.

    Every file is written atomically and none is overwritten.

    Parameters
    ----------
    root : str or Path
        Made where it lacks; pairs of other names in it stay.
    pairs : iterable of Pair
        Their names become file names.
    class_table : ClassTable

    Returns
    -------
    Path
        File of the class table.

    Raises
    ------
    DataError
        A pair of this name or another class table is there already, or a file
        cannot be written.
    """
    root, pairs = Path(root), list(pairs)
    begin_dataset(root, ("images", "coarse", "fine"), class_table)
    _refuse_taken(root, [pair.name for pair in pairs])
    for pair in pairs:
        _write_pair(root, pair, class_table)
    return root / TABLE_FILE


def begin_dataset(root: Path, folders: Iterable[str], class_table: ClassTable) -> None:
    """Make the folders of a dataset where they lack, and write its class table.

    Raises
    ------
    DataError
        Data of other classes are there, or a folder or file cannot be written.
    """
    table = root / TABLE_FILE
    if table.exists() and ClassTable.from_file(table) != class_table:
        raise DataError(f"{root} holds data of other classes; choose another folder.")
    try:
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"The folder {root} cannot be made ({error}); choose another.") from error
    write_table(root, class_table)


def write_table(root: Path, class_table: ClassTable) -> None:
    """Write the class table of a dataset atomically.

    Raises
    ------
    DataError
        The file cannot be written.
    """
    with atomic_path(root / TABLE_FILE) as temporary:
        temporary.write_text(class_table.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _refuse_taken(root: Path, names: Sequence[str]) -> None:
    """Refuse names that an image or map has, whatever the kind of its file."""
    if len(set(names)) < len(names):
        raise DataError("Two pairs have one name; give each its own.")
    for kind in ("images", "coarse", "fine"):
        for path in sorted((root / kind).iterdir()):
            if path.stem in names:
                raise DataError(f"{path} exists already; choose another folder for these pairs.")


def _write_pair(root: Path, pair: Pair, class_table: ClassTable) -> None:
    maps = {"coarse": pair.coarse, "fine": pair.fine}
    largest = max(entry.index for entry in class_table.entries)
    style: MapStyle = "palette" if largest <= LARGEST_PALETTE_INDEX else "index"
    for kind, positions in maps.items():
        if positions is not None:
            path = root / kind / f"{pair.name}.png"
            write_map(path, class_table.to_labels(positions), class_table, style)
    image = root / "images" / f"{pair.name}.png"
    write_image(image, pair.image)  # Last, so that a pair whose image is there is whole.
