"""Draw docs/images/own-*.jpg: a cat, coins and stained tissue, refined without training.

    python scripts/figure_own_classes.py

The coarse maps are drawn here, as quickly as one draws them in napari: polygons of few
corners, squares, and strokes. Prints how much of each image they label.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from skimage import data

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.within import refine_within

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
DPI = 110
SHARE_OF_COLOUR = 0.5
UNLABELLED = 0
RED, GREEN, BLUE, YELLOW = (214, 39, 40), (44, 160, 44), (31, 119, 180), (240, 200, 30)
Points = list[tuple[int, int]]

EYES: list[Points] = [
    [(132, 108), (150, 82), (185, 84), (208, 112), (196, 146), (160, 150)],
    [(296, 140), (302, 116), (330, 104), (346, 122), (338, 156), (310, 168)],
]
NOSE: list[Points] = [[(226, 228), (292, 226), (258, 272)]]
CAT: list[Points] = [
    [
        (28, 0),
        (404, 0),
        (350, 82),
        (366, 130),
        (334, 220),
        (330, 300),
        (0, 300),
        (0, 150),
        (44, 120),
    ]
]
COINS = [
    (44, 53, 22), (100, 56, 20), (155, 51, 23), (216, 51, 24), (276, 52, 21), (335, 43, 30),
    (45, 124, 21), (103, 126, 19), (153, 127, 19), (206, 124, 20), (271, 119, 25), (337, 125, 19),
    (44, 197, 19), (102, 195, 22), (155, 198, 19), (212, 193, 24), (274, 194, 23), (347, 187, 32),
    (46, 260, 28), (114, 265, 22), (172, 261, 29), (244, 264, 25), (301, 263, 25), (358, 268, 23),
]  # fmt: skip
"""Centres and radii of the coins: x, y, r."""
GLANDS: list[Points] = [
    [(50, 60), (120, 110), (210, 180), (180, 230)],
    [(330, 30), (420, 90), (420, 190), (330, 220)],
    [(60, 230), (100, 330), (120, 490)],
    [(290, 340), (340, 400), (330, 490)],
]
TISSUE: list[Points] = [
    [(480, 20), (490, 200), (420, 350), (470, 500)],
    [(92, 240), (150, 285), (270, 290), (390, 315)],
    [(180, 330), (210, 420), (200, 500)],
]
LUMINA: list[Points] = [[(300, 40), (335, 110), (372, 185)], [(8, 300), (20, 400), (12, 500)]]


@dataclass(frozen=True)
class Example:
    """An image, and a coarse map of classes that no model knows."""

    name: str
    image: NDArray[np.uint8]
    classes: dict[str, tuple[int, int, int]]
    draw: Callable[[NDArray[np.uint8]], None]

    @property
    def table(self) -> ClassTable:
        entries = dict(enumerate(self.classes.items(), start=1))
        return table_from_colours(self.name, entries, UNLABELLED)

    def coarse(self) -> NDArray[np.uint8]:
        """Return the coarse map (Y, X)."""
        drawn = np.full(self.image.shape[:2], UNLABELLED, np.uint8)
        self.draw(drawn)
        return drawn


def main() -> None:
    """Draw, refine, save."""
    for example in examples():
        coarse = example.coarse()
        result = refine_within(InstantRefiner(example.table), example.image, coarse)
        print(f"{example.name}: {100 * (coarse != UNLABELLED).mean():.0f} % labelled")
        save(example, coarse, result.labels)


def examples() -> list[Example]:
    """Return the examples; their images come with scikit-image."""
    return [
        Example(
            "cat",
            data.chelsea(),
            {"background": BLUE, "cat": YELLOW, "eye": GREEN, "nose": RED},
            draw_cat,
        ),
        Example("coins", data.coins(), {"background": BLUE, "coin": YELLOW}, draw_coins),
        Example(
            "tissue",
            data.immunohistochemistry(),
            {"gland": RED, "tissue": GREEN, "lumen": YELLOW},
            draw_tissue,
        ),
    ]


def draw_cat(coarse: NDArray[np.uint8]) -> None:
    """Draw polygons of few corners over the whole image."""
    coarse[:] = 1
    for label, polygons in ((2, CAT), (3, EYES), (4, NOSE)):
        for polygon in polygons:
            cv2.fillPoly(coarse, [np.array(polygon)], label)


def draw_coins(coarse: NDArray[np.uint8]) -> None:
    """Draw a square on each coin."""
    coarse[:] = 1
    for x, y, radius in COINS:
        half = round(0.85 * radius)
        cv2.rectangle(coarse, (x - half, y - half), (x + half, y + half), 2, cv2.FILLED)


def draw_tissue(coarse: NDArray[np.uint8]) -> None:
    """Draw a few strokes for each class and leave all else unlabelled."""
    for label, strokes in ((1, GLANDS), (2, TISSUE), (3, LUMINA)):
        for stroke in strokes:
            cv2.polylines(coarse, [np.array(stroke)], False, label, 9)


def save(example: Example, coarse: NDArray[np.uint8], fine: NDArray[np.uint8]) -> None:
    """Save image, coarse map and fine map next to each other."""
    height, width = coarse.shape
    figure, axes = plt.subplots(
        1, 3, figsize=(8.4, 0.25 + 2.8 * height / width), layout="constrained"
    )
    pictures = {
        "image": colour(example.image),
        "coarse map": overlay(example, coarse),
        "fine map": overlay(example, fine),
    }
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    figure.savefig(
        IMAGES / f"own-{example.name}.jpg", dpi=DPI, pil_kwargs={"quality": 85, "optimize": True}
    )
    plt.close(figure)


def overlay(example: Example, labels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Lay class colours over the image in grey, where there is a class."""
    image = colour(example.image)
    grey = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    colours = encode_colours(labels, example.table)
    mixed = cv2.addWeighted(grey, 1 - SHARE_OF_COLOUR, colours, SHARE_OF_COLOUR, 0)
    return np.where((labels != UNLABELLED)[..., None], mixed, image)


def colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.ndim == 3 else np.stack([image] * 3, axis=-1)


if __name__ == "__main__":
    main()
