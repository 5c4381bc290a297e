"""Draw docs/images/astronaut.png: the maps of the sample face and what refiners make of them.

    python scripts/figure_sample.py [--model fasseg] [--side 512]

The lower row shows the coarse map and its refinements with the outline of the
fine map in white and their agreement with it. Prints the agreement as a table.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from numpy.typing import NDArray
from skimage.color import gray2rgb, rgb2gray

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.data.sample import astronaut_class_table, astronaut_pair
from c2f_core.experiments.evaluation import REFERENCE
from c2f_core.io.tables import Row, markdown_table
from c2f_core.metrics.scores import mean_scores, score_pair
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.run import open_trained

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "astronaut.png"
SCORES = ("pixel accuracy", "mIoU", "trimap 5")
LAYOUT = ConstrainedLayoutEngine(h_pad=0.08)
DPI = 100
"""Keeps the file well below 400 kB."""

ClassIds = NDArray[np.uint8]


def main() -> None:
    """Refine the sample with every method, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fasseg", help="bundled model or .safetensors file")
    parser.add_argument("--side", type=int, default=512, help="side of the image in pixels")
    parser.add_argument("--output", type=Path, default=FIGURE)
    options = parser.parse_args()
    learned = open_trained(options.model, "cpu")
    pair, table = astronaut_pair(options.side), astronaut_class_table()
    coarse = table.to_labels(pair.coarse)
    refiners = (*(kind(table) for kind in CLASSICAL_REFINERS.values()), learned)
    results = {refiner.name: refiner.refine(pair.image, coarse) for refiner in refiners}
    maps = {name: table.to_class_ids(result.labels) for name, result in results.items()}
    maps = {REFERENCE: pair.coarse, **maps}
    rows = [agreement(name, class_ids, pair, table) for name, class_ids in maps.items()]
    draw(pair, table, maps, rows, 1 - results[learned.name].confidence, options.output)
    print(markdown_table(rows))


def agreement(name: str, class_ids: ClassIds, pair: Pair, table: ClassTable) -> Row:
    """Score one map (Y, X) against the fine map."""
    assert pair.fine is not None
    scores = score_pair(class_ids, pair.coarse, pair.fine, table.number_of_classes)
    summary = mean_scores([scores], table.names)
    return {"method": name, **{score: summary[score] for score in SCORES}}


def draw(
    pair: Pair,
    table: ClassTable,
    maps: dict[str, ClassIds],
    rows: list[Row],
    doubt: NDArray[np.float32],
    path: Path,
) -> None:
    """Draw the sample with the doubt (Y, X) above, the coarse map and its refinements below."""
    assert pair.fine is not None
    figure, axes = plt.subplots(2, len(maps), figsize=(10, 5.9), layout=LAYOUT)
    photograph, fine, outline, doubtful = axes[0]
    show(photograph, "photograph", pair.image)
    show(fine, "fine map", overlay(pair.image, pair.fine, table))
    show(outline, "outline of the fine map", pair.image)
    draw_outline(outline, pair.fine)
    show(doubtful, f"doubt of {list(maps)[-1]} (black: none)", doubt, cmap="inferno")
    for axis, class_ids, row in zip(axes[1], maps.values(), rows, strict=True):
        show(axis, title(row), overlay(pair.image, class_ids, table))
        draw_outline(axis, pair.fine)
    colours = {entry.name: "#{:02x}{:02x}{:02x}".format(*entry.colour) for entry in table.classes}
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, pil_kwargs={"optimize": True})
    plt.close(figure)


def title(row: Row) -> str:
    """Return the name of the method and its figures in percent."""
    figures = ", ".join(f"{score} {100 * float(row[score]):.1f}" for score in SCORES[1:])
    return f"{row['method']}\naccuracy {100 * float(row['pixel accuracy']):.1f}, {figures}"


def overlay(
    image: NDArray[np.uint8], class_ids: ClassIds, table: ClassTable
) -> NDArray[np.float64]:
    """Lay class colours over the photograph in grey; (Y, X, 3) in [0, 1]."""
    colours = encode_colours(table.to_labels(class_ids), table) / 255
    mixed: NDArray[np.float64] = 0.45 * gray2rgb(rgb2gray(image)) + 0.55 * colours
    return mixed


def draw_outline(axis: Axes, class_ids: ClassIds) -> None:
    """Draw the boundaries of all classes but the background's."""
    for class_id in np.unique(class_ids)[1:]:
        axis.contour(class_ids == class_id, levels=[0.5], colors="white", linewidths=0.5)


def show(axis: Axes, name: str, picture: NDArray[np.generic], cmap: str | None = None) -> None:
    """Show a picture without ticks."""
    axis.imshow(picture, cmap=cmap, vmin=0, vmax=1)
    axis.set_title(name, fontsize=7.5)
    axis.set_axis_off()


if __name__ == "__main__":
    main()
