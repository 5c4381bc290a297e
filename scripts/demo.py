"""Show what the package does: in napari's window, or as files if there is no screen.

python scripts/demo.py                        opens napari with the sample
python scripts/demo.py --output demo-output   writes pictures and figures instead
"""

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from c2f_core import RefineResult
from c2f_core.data.pairs import Pair
from c2f_core.data.sample import astronaut_class_table, astronaut_pair
from c2f_core.io.maps import write_map
from c2f_core.io.tables import Row, markdown_table
from c2f_core.metrics.scores import mean_scores, score_pair

PLUGIN = "napari-c2f"
SCORES = ("pixel accuracy", "mIoU", "trimap 5", "boundary IoU", "damage", "gain")
DOUBTFUL = 0.5


def main() -> None:
    """Open the window, or write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="write files into this folder; no window")
    options = parser.parse_args()
    if options.output is None:
        open_window()
    else:
        write_files(options.output)


def open_window() -> None:
    """Open napari with the astronaut and the Refine widget until it is closed."""
    import napari

    viewer = napari.Viewer()
    viewer.open_sample(PLUGIN, "astronaut")
    viewer.window.add_plugin_dock_widget(PLUGIN, "Refine")
    napari.run()


def write_files(folder: Path) -> None:
    """Refine the sample and write its maps, the confidence and the figures."""
    from c2f_core import Refiner

    folder.mkdir(parents=True, exist_ok=True)
    pair, class_table = astronaut_pair(), astronaut_class_table()
    coarse = class_table.to_labels(pair.coarse)
    result = Refiner.bundled("fasseg").refine(pair.image, coarse)
    iio.imwrite(folder / "image.png", pair.image)
    write_map(folder / "coarse.png", coarse, class_table)
    write_map(folder / "fine.png", result.labels, class_table)
    iio.imwrite(folder / "confidence.png", np.rint(255 * result.confidence).astype(np.uint8))
    figures = describe(pair, result) + accuracies(pair, result)
    (folder / "figures.md").write_text(figures, encoding="utf-8")
    print(figures)


def describe(pair: Pair, result: RefineResult) -> str:
    """Describe how much was changed and how much is doubtful."""
    changed = (astronaut_class_table().to_class_ids(result.labels) != pair.coarse).mean()
    doubtful = (result.confidence < DOUBTFUL).mean()
    return (
        f"Refining changed {100 * changed:.1f} % of the pixels. The mean confidence is "
        f"{100 * result.confidence.mean():.1f} %; below {100 * DOUBTFUL:.0f} % are "
        f"{100 * doubtful:.2f} % of the pixels.\n"
    )


def accuracies(pair: Pair, result: RefineResult) -> str:
    """Compare coarse and refined map with the fine map, where one was drawn."""
    if pair.fine is None:
        return ""
    table = astronaut_class_table()
    maps = {"coarse": pair.coarse, "refined": table.to_class_ids(result.labels)}
    rows: list[Row] = []
    for name, class_ids in maps.items():
        scores = score_pair(class_ids, pair.coarse, pair.fine, table.number_of_classes)
        summary = mean_scores([scores], table.names)
        rows.append({"method": name, **{score: summary[score] for score in SCORES}})
    return f"\nAgreement with the fine map, in %:\n\n{markdown_table(rows)}"


if __name__ == "__main__":
    main()
