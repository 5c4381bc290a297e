"""Draw docs/images/tiles.png: an image in hard-cut tiles, in blended tiles and as a whole.

    python scripts/figure_tiles.py [--model fasseg] [--side 1024]

The report stitched tiles of 256 pixels without overlap, which left crosses in
its results. Each picture in the lower row shows where labels differ from those
of the whole image.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.colours import encode_colours
from c2f_core.data.pairs import Pair
from c2f_core.data.sample import astronaut_pair
from c2f_core.refine import learned
from c2f_core.refine.learned import Refiner
from c2f_core.refine.run import open_trained

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "tiles.png"
HARD_TILE = 256
BLENDED_TILE = 512


def main() -> None:
    """Refine the sample in three ways and draw the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fasseg", help="bundled model or .safetensors file")
    parser.add_argument("--side", type=int, default=1024, help="side of the image in pixels")
    parser.add_argument("--output", type=Path, default=FIGURE)
    options = parser.parse_args()
    refiner = open_trained(options.model, "cpu")
    pair = astronaut_pair(options.side)
    learned.LARGEST_TILE_ELSEWHERE = options.side
    whole = refine(refiner, pair)
    learned.LARGEST_TILE_ELSEWHERE = BLENDED_TILE
    maps = {
        f"tiles of {HARD_TILE} px, cut hard": hard_cut(refiner, pair),
        f"tiles of {BLENDED_TILE} px, blended": refine(refiner, pair),
        "the whole image at once": whole,
    }
    draw(refiner, pair, maps, whole, options.output)
    for title, labels in maps.items():
        print(f"{title}: {100 * (labels != whole).mean():.3f} % of the labels differ")


def refine(refiner: Refiner, pair: Pair) -> NDArray[np.unsignedinteger]:
    """Refine a pair with the tiles that the refiner chooses."""
    return refiner.refine(pair.image, refiner.class_table.to_labels(pair.coarse)).labels


def hard_cut(refiner: Refiner, pair: Pair) -> NDArray[np.unsignedinteger]:
    """Refine tiles that do not overlap, each on its own, and put them side by side."""
    coarse = refiner.class_table.to_labels(pair.coarse)
    labels = np.zeros_like(coarse)
    for row in range(0, coarse.shape[0], HARD_TILE):
        for column in range(0, coarse.shape[1], HARD_TILE):
            tile = slice(row, row + HARD_TILE), slice(column, column + HARD_TILE)
            labels[tile] = refiner.refine(pair.image[tile], coarse[tile]).labels
    return labels


def draw(
    refiner: Refiner,
    pair: Pair,
    maps: dict[str, NDArray[np.unsignedinteger]],
    whole: NDArray[np.unsignedinteger],
    path: Path,
) -> None:
    """Draw the maps over the photograph, and below them where they differ from the whole."""
    figure, axes = plt.subplots(2, len(maps), figsize=(3.4 * len(maps), 7.2), layout="constrained")
    for (upper, lower), (title, labels) in zip(axes.T, maps.items(), strict=True):
        colours = encode_colours(labels, refiner.class_table)
        upper.imshow((0.45 * pair.image + 0.55 * colours).astype(np.uint8))
        upper.set_title(title, fontsize=10)
        different = labels != whole
        lower.imshow(different, cmap="gray_r", vmin=0, vmax=1, interpolation="antialiased")
        lower.set_title(f"{100 * different.mean():.3f} % differ from the whole", fontsize=10)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
