"""Records, tables and pictures of `any.py`: docs/results/any.json and docs/results/any.md."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from c2f_core.geometry.arrays import bounding_box, grown
from c2f_core.io.atomic import atomic_path
from c2f_core.metrics.scores import mean_iou, mean_of_known

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
RECORDS, PAGE_FILE = RESULTS / "any.json", RESULTS / "any.md"
COARSE = "coarse"
SHOWN_STRENGTH = "medium"
NOT_OURS = ("watershed", "guided filter", "GrabCut per class", "random walker")
"""Methods that are compared with, as published; their losses are not listed one by one."""
LEFT_OUT = "network, set left out"
TOLERATED = 0.05
"""Share of the images of a set that may become worse."""
KINDS = {
    "acdc_mri": "heart, MR (ACDC)",
    "axon_sem": "axons, electron microscopy",
    "bsds500_regions": "photographs, united regions (BSDS)",
    "camvid": "streets (CamVid)",
    "coffee_leaf": "coffee leaves",
    "cwfid_plants": "field plants (CWFID)",
    "davis2016": "film frames (DAVIS)",
    "documents_dibco": "documents (DIBCO)",
    "dsb2018_nuclei": "nuclei (DSB 2018)",
    "endoscapes_seg": "surgery (Endoscapes)",
    "fasseg": "faces (FASSEG), real coarse maps",
    "gsi_road_aerial": "roads from the air (GSI)",
    "isbi2012_em": "membranes, electron microscopy (ISBI)",
    "leeds_butterfly": "butterflies (Leeds)",
    "magnetic_tile": "defects of tiles",
    "sunnybrook_cmr": "heart, MR (Sunnybrook)",
    "tnbc_he": "stained tissue (TNBC)",
    "wbc_blood": "white blood cells",
    "weizmann_horses": "horses (Weizmann)",
}
WIDTH = 200
"""Width of a column of a strip in pixels."""
MARGIN = 24
"""Surroundings of the objects that a strip shows, in pixels."""

PAGE = """# Any image, any classes

Written by `scripts/any.py`; no figure here was entered by hand.

{sets} sets of images of many kinds, with at most {images} images each on which neither a network
nor the model behind careful refining was fitted, and {faces} test images of FASSEG, which have
coarse maps that people drew. All other coarse maps are made of the fine ones: each region is
redrawn as a polygon of few jittered vertices, about 2 (weak), 4 (medium) or 7 px (strong) off
in an image whose longest side is 512 px. Pixels that are unknown in the fine map do not count.

*instant* is the instant refiner as the widget and `c2f-refine` run it by default: changes that are
not expected to gain are taken back, and islands are dissolved. *instant, all changes* leaves that
out. Networks run by default, too; the other methods run alone, as published. *{left_out}*
is the bundled network for any classes on the sets that it was not trained on; it was trained on
{free}.

## All sets

An image is worse if fewer of its pixels are right than in the coarse map. *Error removed* is the
share of the coarse maps' wrong pixels, pooled over a set, that refining removes; it is negative if
there are more of them than before. It and the gains in other scores are means over the sets, in per
cent and points. Seconds are the median of an image on one core that is shared with other
work.{fewer}

{summary}
On the {shared} maps that all methods refined:

{common}
By strength of the coarse maps: error removed in per cent, and images made worse.

{strengths}
## What got worse

Sets in which more than {tolerated} % of the images or the mIoU became worse:

{losses}
## Error removed, by set

In per cent, with the number of images made worse.

{by_set}
{details}{pictures}## How

Dense CRF is missing: `pydensecrf` 1.0rc3, its latest release, does not compile with today's Cython.

| | |
| --- | --- |
| command | `python scripts/any.py --data ANY --camvid CAMVID --fasseg FASSEG`; the page alone: \
`python scripts/any.py --tables` |
| split | every fourth image of a set, in the order of the names of their masks; CamVid: its \
validation frames; FASSEG: `report:test` |
| seed | {seed} |
| hardware | {hardware} |
| date | {date} |
"""
DETAILS = """## {method}, by set

Coarse → refined, in per cent. Pixel accuracy and mIoU are those of the pooled pixels, the other
scores means over the images.

{table}
"""
PICTURES = """## Pictures

Best, median and worst image, by error removed, of the {strength} coarse maps, refined by
*{method}*: coarse map, refined map, fine map, and what changed: right now in green, wrong now in
red. Only of sets whose terms allow it ({credits}), and not of those in which no map changed.

"""
CREDITS = {
    "axon_sem": "axons © 2020 ivadomed, MIT",
    "coffee_leaf": "leaves by Esgario, Krohling and Ventura, MIT",
    "davis2016": "DAVIS, BSD",
    "dsb2018_nuclei": "DSB 2018, CC0",
    "gsi_road_aerial": "Geospatial Information Authority of Japan, 2022, Public Data License 1.0",
    "sunnybrook_cmr": "Sunnybrook Cardiac Data, public domain",
}
FREE = tuple(CREDITS)
"""Sets whose terms allow their images to be shown here."""

Shown = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Image, coarse, refined and fine map."""
Pictures = tuple[str, list[Shown]]
"""A set, and its images to show."""


class Row(NamedTuple):
    """Scores of a method on an image."""

    data_set: str
    name: str
    strength: str
    method: str
    accuracy: float
    trimap: float
    boundary: float
    damage: float
    worse: bool
    seconds: float
    counts: list[int]
    """Confusion matrix (C, C + 1), row by row; see `metrics.scores.confusion_matrix`."""

    @property
    def case(self) -> tuple[str, str, str]:
        return self[:3]

    @property
    def confusion(self) -> NDArray[np.int64]:
        classes = int(len(self.counts) ** 0.5)
        return np.reshape(np.array(self.counts, np.int64), (classes, classes + 1))


@dataclass
class Records:
    """All measurements, and how they were made."""

    seed: int = 0
    hardware: str = ""
    date: str = ""
    pictures: str = ""
    rows: dict[tuple[str, ...], Row] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = RECORDS) -> Self:
        """Read the records; there are none without a file."""
        if not path.exists():
            return cls()
        read = json.loads(path.read_text(encoding="utf-8"))
        rows = [Row(*values) for values in read.pop("rows")]
        return cls(**read, rows={row[:4]: row for row in rows})

    def write(self, path: Path = RECORDS) -> None:
        """Write the records, one line each."""
        rows = sorted(self.rows.values(), key=lambda row: row[:4])
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        facts = {each.name: getattr(self, each.name) for each in fields(self)[:-1]}
        head = json.dumps(facts)[:-1]
        with atomic_path(path) as temporary:
            temporary.write_text(f'{head}, "rows": [\n{lines}\n]}}\n', encoding="utf-8")

    def describe(self, seed: int, hardware: str, date: str) -> None:
        """Remember how the measurements are made; all of them have the same seed."""
        if self.rows and seed != self.seed:
            raise SystemExit(f"The records have seed {self.seed}; delete {RECORDS} for another.")
        self.seed, self.hardware, self.date = seed, hardware, date

    def contains(self, *key: str) -> bool:
        return key in self.rows

    def add(self, rows: Iterable[Row]) -> None:
        self.rows.update({row[:4]: row for row in rows})

    @property
    def methods(self) -> list[str]:
        """Methods but the coarse map, those with most images first."""
        counts: dict[str, int] = {}
        for row in self.rows.values():
            counts[row.method] = counts.get(row.method, 0) + 1
        counts.pop(COARSE, None)
        first = ("instant", "instant, all changes")
        ours = [name for name in counts if name not in (*NOT_OURS, *first)]
        order = [*first, *ours, *NOT_OURS]
        return [name for name in order if name in counts]

    def common(self) -> "Records":
        """Return the records of the maps that all methods refined."""
        methods = {row.method for row in self.rows.values()}
        rows = {
            key: row
            for key, row in self.rows.items()
            if all((*row.case, method) in self.rows for method in methods)
        }
        return replace(self, rows=rows)

    def comparison(self, method: str, **of: str) -> "Comparison":
        """Compare a method with the coarse maps that it refined."""
        after = [
            row
            for row in self.rows.values()
            if row.method == method and all(getattr(row, key) == of[key] for key in of)
        ]
        before = [self.rows[*row.case, COARSE] for row in after]
        return Comparison(before, after)

    def extremes(self, method: str) -> dict[str, list[tuple[str, str]]]:
        """Return name and strength of the best, median and worst image of the sets to show."""
        self.pictures = method
        chosen = {}
        for data_set in FREE:
            found = self.comparison(method, data_set=data_set, strength=SHOWN_STRENGTH)
            order = [row for _, row in sorted(found.by_removed(), key=lambda each: -each[0])]
            if found.unchanged < len(order):
                places = sorted({0, len(order) // 2, len(order) - 1})
                chosen[data_set] = [(order[place].name, order[place].strength) for place in places]
        return chosen


@dataclass(frozen=True)
class Comparison:
    """Coarse maps and their refinements, image by image, of one or several sets."""

    before: list[Row]
    after: list[Row]

    @property
    def worse(self) -> int:
        return sum(row.worse for row in self.after)

    @property
    def unchanged(self) -> int:
        """Number of maps that refining left as they were, by their confusion matrices."""
        pairs = zip(self.before, self.after, strict=True)
        return sum(before.counts == after.counts for before, after in pairs)

    @property
    def removed(self) -> float:
        """Share of the wrong pixels that refining removed."""
        wrong = [sum(wrong_pixels(row) for row in rows) for rows in (self.before, self.after)]
        return 1 - wrong[1] / wrong[0] if wrong[0] else float("nan")

    def by_removed(self) -> list[tuple[float, Row]]:
        pairs = zip(self.before, self.after, strict=True)
        return [(Comparison([before], [after]).removed, after) for before, after in pairs]

    def pair(self, score: Callable[[Sequence[Row]], float]) -> tuple[float, float]:
        """Return a score of the coarse and of the refined maps."""
        return score(self.before), score(self.after)

    def gain(self, score: Callable[[Sequence[Row]], float]) -> float:
        before, after = self.pair(score)
        return after - before


def wrong_pixels(row: Row) -> int:
    return int(row.confusion.sum() - np.trace(row.confusion))


def pooled(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Return the confusion matrix of all pixels of a set."""
    total: NDArray[np.int64] = np.sum([row.confusion for row in rows], axis=0)
    return total


def accuracy(rows: Sequence[Row]) -> float:
    counts = pooled(rows)
    return float(np.trace(counts) / counts.sum())


def miou(rows: Sequence[Row]) -> float:
    return mean_iou(pooled(rows))


def mean_trimap(rows: Sequence[Row]) -> float:
    return mean_of_known([row.trimap for row in rows])


def mean_boundary(rows: Sequence[Row]) -> float:
    return mean_of_known([row.boundary for row in rows])


# The page ---------------------------------------------------------------------------------


def write_page(records: Records, path: Path = PAGE_FILE) -> None:
    """Write the page of results from the records."""
    with atomic_path(path) as temporary:
        temporary.write_text(page_of(records), encoding="utf-8")


def page_of(records: Records) -> str:
    """Return the page of results."""
    of_set, common = by_set(records), records.common()
    sets = sorted({name for sets in of_set.values() for name in sets})
    names = {(row.data_set, row.name) for row in records.rows.values()}
    counts = {name: sum(each == name for each, _ in names) for name in sets}
    faces = counts.pop("fasseg", 0)
    return PAGE.format(
        sets=len(counts),
        images=max(counts.values()),
        faces=faces,
        left_out=LEFT_OUT,
        free=", ".join(KINDS[name] for name in FREE),
        fewer=fewer_images(of_set),
        summary=table(summary_rows(of_set)),
        shared=len({row.case for row in common.rows.values()}),
        common=table(summary_rows(by_set(common))),
        strengths=table(strength_rows(records)),
        tolerated=round(100 * TOLERATED),
        losses="\n".join(loss_lines(of_set)) + "\n",
        by_set=table(set_rows(of_set, sets)),
        details="".join(
            DETAILS.format(method=method[0].upper() + method[1:], table=table(detail_rows(found)))
            for method, found in of_set.items()
            if method not in NOT_OURS
        ),
        pictures=picture_section(records),
        seed=records.seed,
        hardware=records.hardware,
        date=records.date,
    )


BySet = dict[str, dict[str, Comparison]]
"""Comparisons by method and set."""


def by_set(records: Records) -> BySet:
    sets = sorted({row.data_set for row in records.rows.values()})
    found: BySet = {}
    for method in records.methods:
        compared = {name: records.comparison(method, data_set=name) for name in sets}
        found[method] = {name: each for name, each in compared.items() if each.after}
    return found


def fewer_images(of_set: BySet) -> str:
    """Return a sentence on the methods that were measured on fewer images than the first."""
    counts = {method: sum(len(each.after) for each in of_set[method].values()) for method in of_set}
    most = max(counts.values())
    fewer = [f"*{method}* ({count})" for method, count in counts.items() if count < most]
    if not fewer:
        return ""
    return f" Measured on fewer than {most} maps, and compared with those: {', '.join(fewer)}."


def summary_rows(of_set: BySet) -> Iterator[dict[str, str]]:
    for method, sets in of_set.items():
        found = list(sets.values())
        images = sum(len(each.after) for each in found)
        worse = sum(each.worse for each in found)
        lower = sum(each.gain(miou) < 0 for each in found)
        after = [row for each in found for row in each.after]
        yield {
            "method": method,
            "images made worse": f"{worse} of {images} ({100 * worse / images:.1f} %)",
            "left as they were": str(sum(each.unchanged for each in found)),
            "error removed": percent(np.mean([each.removed for each in found])),
            "mIoU": points([each.gain(miou) for each in found]),
            "sets with lower mIoU": f"{lower} of {len(found)}",
            "trimap 5": points([each.gain(mean_trimap) for each in found]),
            "boundary IoU": points([each.gain(mean_boundary) for each in found]),
            "damage": f"{100 * np.mean([row.damage for row in after]):.2f}",
            "seconds": f"{np.median([row.seconds for row in after]):.1f}",
        }


def strength_rows(records: Records) -> Iterator[dict[str, str]]:
    strengths = dict.fromkeys(row.strength for row in records.rows.values())
    order = [name for name in ("weak", "medium", "strong", "real") if name in strengths]
    for method in records.methods:
        row = {"method": method}
        for strength in order:
            sets = {each.data_set for each in records.comparison(method, strength=strength).after}
            found = [records.comparison(method, strength=strength, data_set=name) for name in sets]
            row[strength] = cell(found)
        yield row


def set_rows(of_set: BySet, sets: Iterable[str]) -> Iterator[dict[str, str]]:
    for name in sets:
        compared = {
            method: cell([found[name]] if name in found else []) for method, found in of_set.items()
        }
        yield {"set": KINDS.get(name, name), **compared}


def detail_rows(sets: dict[str, Comparison]) -> Iterator[dict[str, str]]:
    for name, found in sets.items():
        yield {
            "set": KINDS.get(name, name),
            "pixel accuracy": arrow(found.pair(accuracy)),
            "mIoU": arrow(found.pair(miou)),
            "trimap 5": arrow(found.pair(mean_trimap)),
            "boundary IoU": arrow(found.pair(mean_boundary)),
            "damage": f"{100 * np.mean([row.damage for row in found.after]):.2f}",
            "made worse": f"{found.worse} of {len(found.after)}",
            "left as it was": str(found.unchanged),
            "error removed": percent(found.removed),
            "seconds": f"{np.median([row.seconds for row in found.after]):.1f}",
        }


def loss_lines(of_set: BySet) -> Iterator[str]:
    """Say in which sets a method makes too many images or the mIoU worse."""
    for method, sets in of_set.items():
        if method in NOT_OURS:
            continue
        losses = [text for name, each in sets.items() if (text := loss(name, each))]
        found = "; ".join(losses) if losses else "no set"
        yield f"- **{method}**: {found}."


def loss(name: str, found: Comparison) -> str:
    """Say what got worse in a set; empty if that is within what is tolerated."""
    parts = []
    if found.worse > TOLERATED * len(found.after):
        parts.append(f"{found.worse} of {len(found.after)} maps")
    before, after = found.pair(miou)
    if after < before:
        parts.append(f"mIoU from {100 * before:.2f} to {100 * after:.2f} %")
    return f"{KINDS.get(name, name)}: {', '.join(parts)}" if parts else ""


def cell(found: Sequence[Comparison]) -> str:
    """Return the mean error removed over some sets and the number of images made worse."""
    images = sum(len(each.after) for each in found)
    if not images:
        return "–"
    worse = sum(each.worse for each in found)
    return f"{percent(np.mean([each.removed for each in found]))} ({worse} of {images})"


def percent(share: float | np.floating[Any]) -> str:
    return f"{100 * share:.1f}"


def points(gains: Sequence[float]) -> str:
    return f"{100 * mean_of_known(gains):+.1f}"


def arrow(pair: tuple[float, float]) -> str:
    return f"{percent(pair[0])} → {percent(pair[1])}"


def table(rows: Iterable[dict[str, str]]) -> str:
    """Return a Markdown table whose first column is text."""
    found = list(rows)
    lines = [list(found[0]), ["---"] + ["---:"] * (len(found[0]) - 1)]
    lines += [list(row.values()) for row in found]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def picture_section(records: Records) -> str:
    shown = [name for name in FREE if records.pictures and strip_file(name).exists()]
    if not shown:
        return ""
    text = PICTURES.format(
        strength=SHOWN_STRENGTH,
        method=records.pictures,
        credits="; ".join(CREDITS[name] for name in shown),
    )
    strips = [f"![{KINDS[name]}](../images/{strip_file(name).name})\n" for name in shown]
    return text + "\n".join(strips) + "\n"


# Pictures ---------------------------------------------------------------------------------


def strip_file(data_set: str) -> Path:
    return RESULTS.parent / "images" / f"any-{data_set.replace('_', '-')}.jpg"


def draw_pictures(pictures: Iterable[Pictures]) -> None:
    """Draw the images of each set in one strip, a row for each."""
    for data_set, images in pictures:
        strip = np.concatenate([strip_row(*shown) for shown in images])
        picture = Image.fromarray(strip)
        picture.save(strip_file(data_set), quality=82, optimize=True)


def strip_row(
    rgb: NDArray[np.uint8],
    coarse: NDArray[np.uint8],
    refined: NDArray[np.uint8],
    fine: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Return coarse, refined and fine map next to each other, and what changed."""
    objects = fine != np.bincount(fine.ravel()).argmax()
    window = grown(bounding_box(objects), MARGIN, fine.shape)
    rgb, coarse, refined, fine = (each[window] for each in (rgb, coarse, refined, fine))
    maps = [overlay(rgb, each) for each in (coarse, refined, fine)]
    tiles = [small(each) for each in (*maps, changes(rgb, coarse, refined, fine))]
    margin = ((2, 2), (2, 2), (0, 0))
    framed = [np.pad(tile, margin, constant_values=255) for tile in tiles]
    return np.concatenate(framed, axis=1)


def overlay(rgb: NDArray[np.uint8], class_ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay class colours over the image in grey."""
    colours = (255 * matplotlib.colormaps["tab10"](class_ids % 10)[..., :3]).astype(np.uint8)
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(grey, 0.55, colours, 0.45, 0), np.uint8)


def changes(
    rgb: NDArray[np.uint8],
    coarse: NDArray[np.uint8],
    refined: NDArray[np.uint8],
    fine: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Show in green what became right, in red what became wrong."""
    shown = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    shown = np.asarray(shown, np.uint8)
    shown[(coarse != fine) & (refined == fine)] = (40, 170, 60)
    shown[(coarse == fine) & (refined != fine)] = (230, 40, 40)
    return shown


def small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a picture to the width of a column."""
    height, width = picture.shape[:2]
    size = WIDTH, max(1, round(WIDTH * height / width))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
