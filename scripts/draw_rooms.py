"""Draw the rooms of both packages and the imports between them into docs/images/rooms.svg.

    python scripts/draw_rooms.py

A room is a folder or a module directly in its package. It stands on a floor above every room
that it imports. Dark arrows are the imports that no chain of other arrows implies; all other
direct imports are pale.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import grimp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PACKAGES = ("napari_c2f", "c2f_core")
DRAWING = Path(__file__).resolve().parents[1] / "docs" / "images" / "rooms.svg"
Arrows = dict[str, list[str]]
"""Rooms that a room imports, by its name; both in alphabetical order."""


def arrows_of(package: str) -> Arrows:
    """Return the imports between the rooms of a package.

    Parameters
    ----------
    package : str
        Name of an importable package.

    Returns
    -------
    dict of str to list of str
        Rooms that each room imports.
    """
    graph = grimp.build_graph(package, cache_dir=None)
    arrows: dict[str, set[str]] = {room_of(module): set() for module in graph.modules - {package}}
    for importer in graph.modules - {package}:
        for imported in graph.find_modules_directly_imported_by(importer) - {package}:
            arrows[room_of(importer)].add(room_of(imported))
    return {room: sorted(arrows[room] - {room}) for room in sorted(arrows)}


def room_of(module: str) -> str:
    """Return the second part of a module's dotted name."""
    return module.split(".")[1]


def floors_of(arrows: Arrows) -> list[list[str]]:
    """Sort rooms into floors, the ground floor first.

    Raises
    ------
    ValueError
        If rooms import each other in a circle.
    """
    floors: list[list[str]] = []
    below: set[str] = set()
    while len(below) < len(arrows):
        floor = [room for room in arrows if room not in below and below.issuperset(arrows[room])]
        if not floor:
            raise ValueError(f"circular imports among {sorted(set(arrows) - below)}")
        floors.append(floor)
        below |= set(floor)
    return floors


def implied(arrows: Arrows, room: str, target: str) -> bool:
    """Return whether a room reaches another one by a chain of at least two arrows."""
    seen: set[str] = set()
    waiting = [each for each in arrows[room] if each != target]
    while waiting:
        current = waiting.pop()
        if current == target:
            return True
        if current not in seen:
            seen.add(current)
            waiting += arrows[current]
    return False


def draw_package(axes: Axes, package: str, arrows: Arrows) -> None:
    """Draw one package: a row of boxes for each floor, arrows down to what is imported."""
    centres = centres_of(arrows)
    for room, targets in arrows.items():
        for target in targets:
            draw_arrow(axes, centres[room], centres[target], pale=implied(arrows, room, target))
    for room, (x, y) in centres.items():
        draw_box(axes, room, x, y)
    axes.set_title(package, family="monospace", fontsize=11, loc="left")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.5, len(floors_of(arrows)) - 0.4)
    axes.set_axis_off()


def centres_of(arrows: Arrows) -> dict[str, tuple[float, float]]:
    """Place each room below the rooms that import it; (x in [0, 1], number of the floor)."""
    centres: dict[str, tuple[float, float]] = {}
    for height, floor in reversed(list(enumerate(floors_of(arrows)))):
        wanted = {room: mean_x(centres, arrows, room) for room in floor}
        shift = 0.04 * (-1) ** height  # So that long arrows miss the boxes between.
        for number, room in enumerate(sorted(floor, key=lambda each: (wanted[each], each))):
            centres[room] = ((number + 0.5) / len(floor) + shift * (len(floor) < 6), float(height))
    return centres


def mean_x(centres: dict[str, tuple[float, float]], arrows: Arrows, room: str) -> float:
    """Return the mean x of the rooms that import a room, 0.5 if none does."""
    importers = [x for each, (x, _) in centres.items() if room in arrows[each]]
    return sum(importers) / len(importers) if importers else 0.5


def draw_arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], *, pale: bool
) -> None:
    """Draw an arrow from the bottom of one box to the top of another."""
    (x0, y0), (x1, y1) = start, end
    style = {"color": "#d5dde3", "lw": 0.6} if pale else {"color": "#35607a", "lw": 1.1}
    axes.add_patch(
        FancyArrowPatch(
            (x0, y0 - 0.19),
            (x1, y1 + 0.19),
            arrowstyle="-|>",
            mutation_scale=7,
            shrinkA=0,
            shrinkB=0,
            zorder=1 if pale else 2,
            **style,
        )
    )


def draw_box(axes: Axes, room: str, x: float, y: float) -> None:
    """Draw a room."""
    width = 0.0105 * max(len(room), 5)
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - 0.15),
            width,
            0.3,
            boxstyle="round,pad=0.012,rounding_size=0.02",
            mutation_aspect=6,
            facecolor="#eef6fa",
            edgecolor="#35607a",
            zorder=3,
        )
    )
    axes.text(x, y, room, ha="center", va="center", family="monospace", fontsize=8, zorder=4)


def draw(packages: Iterable[str], path: Path) -> None:
    """Draw packages beneath each other into an SVG file, which keeps the arrows as text too."""
    arrows = {package: arrows_of(package) for package in packages}
    heights = [len(floors_of(each)) for each in arrows.values()]
    plt.rcParams.update({"svg.hashsalt": "rooms", "svg.fonttype": "none"})
    figure, panels = plt.subplots(
        len(arrows), 1, figsize=(9, 0.75 * sum(heights)), height_ratios=heights
    )
    for axes, (package, each) in zip(panels, arrows.items(), strict=True):
        draw_package(axes, package, each)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Description": json.dumps(arrows)})


if __name__ == "__main__":
    draw(PACKAGES, DRAWING)
    print(f"Wrote {DRAWING}")
