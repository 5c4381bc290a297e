"""Page of the driving scenes, from docs/results/camvid.json.

`camvid.py` calls this; see there.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from camvid_text import PARTS_VERDICT, TEXT, VERDICT
from results import DOCS

from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import Row, markdown_table

RECORDS = DOCS / "results" / "camvid.json"
PAGE = DOCS / "results" / "camvid.md"
PICTURE = DOCS / "images" / "camvid-errors.png"
COARSE = "coarse"
BASELINES = {"watershed": "watershed", "random-walker": "random walker", "instant": "instant"}
"""Rows of the refiners without training, and the names by which they are opened."""
HELD_OUT = {"val": "101 frames of val", "drive": "102 other frames of the same drive"}
"""Held-out lists, and what they are."""
PARTS = {
    "balanced": "crops drawn such that all classes of the coarse maps occur about equally often",
    "trusted": "of each class, the 70 % of pixels that look most real count",
    "masked": "boxes of the coarse map hidden from the generator only, coarse-only losses in full",
}
"""Rows of second stages that were tried and not kept: what was changed."""
WORTH = {
    "plain-coarse": "coarse maps",
    "plain-refined": "maps refined by stage 2",
    "plain": "fine maps",
}
"""Rows of the plain U-Net: what it learns from, beyond the few fine maps."""
NAMES = {
    COARSE: "coarse maps",
    **BASELINES,
    "plain": "plain U-Net (RGB only)",
    "model1": "Model 1",
    "model1-long": "Model 1, four times as many steps",
    "stage1": "stage 1",
    "control": "control",
    "stage2": "stage 2",
}
SHARES = (5, 10, 25)
COLUMNS = ("pixel accuracy", "mIoU", "boundary IoU", "trimap 5", "labelled", "unlabelled",
           "damage", "worse")  # fmt: skip
Record = dict[str, Any]


def read_records() -> list[Record]:
    """Read the records; there are none before the first run."""
    if not RECORDS.exists():
        return []
    records: list[Record] = json.loads(RECORDS.read_text(encoding="utf-8"))
    return records


def write_records(records: list[Record]) -> None:
    """Write the records, one a line."""
    lines = [json.dumps(each) for each in records]
    with atomic_path(RECORDS) as temporary:
        temporary.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


@dataclass(frozen=True)
class Results:
    """Records by row; those of several seeds are averaged."""

    records: Sequence[Record]

    def __contains__(self, row: str) -> bool:
        return any(record["row"] == row for record in self.records)

    def score(self, row: str, name: str, held_out: str = "val") -> float:
        """Return the mean of a score over the seeds."""
        values = [each[held_out][name] for each in self.records if each["row"] == row]
        return float(sum(values) / len(values))

    def gain(self, row: str, other: str, held_out: str = "val") -> float:
        """Return by how much the mIoU of a row is higher than that of another."""
        return self.score(row, "mIoU", held_out) - self.score(other, "mIoU", held_out)

    def fine_maps(self, row: str) -> int:
        """Return the number of fine maps that a row learned from; 0 without learning."""
        if row == COARSE or row in BASELINES:
            return 0
        return next(int(each["fine"]) for each in self.records if each["row"] == row)

    def present(self, rows: Iterable[str]) -> list[str]:
        """Return the rows that are recorded."""
        return [row for row in rows if row in self]

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return [name[4:] for name in self.records[0]["val"] if name.startswith("IoU ")]


def write_page(steps: str) -> None:
    """Write docs/results/camvid.md; `steps` says how long each method was trained."""
    results = Results(read_records())
    few = [f"{kind}-{share}" for share in SHARES for kind in ("stage1", "control", "stage2")]
    rows = results.present([COARSE, *BASELINES, "plain", "model1", "model1-long", *few])
    right = results.score(COARSE, "labelled", "drive")
    text = TEXT.format(
        share=100 * results.score(COARSE, "pixel accuracy", "drive") / right,
        right=right,
        verdict=VERDICT,
        parts_verdict=PARTS_VERDICT,
        steps=steps,
        goals=table_of(goal_rows(results)),
        val=table_of(score_rows(results, rows, "val")),
        drive=table_of(score_rows(results, rows, "drive")),
        classes=table_of(class_rows(results, rows)),
        parts=table_of(part_rows(results)),
        worth=table_of(worth_rows(results)),
        hours=sum(record["seconds"] for record in results.records) / 3600,
        seeds=", ".join(sorted({str(record["seed"]) for record in results.records})),
        hardware="; ".join(sorted({record["device"] for record in results.records})),
        dates=", ".join(sorted({record["date"] for record in results.records})),
    )  # fmt: skip
    with atomic_path(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")


def table_of(rows: list[Row]) -> str:
    """Return a table, or a sentence if its runs have not been made."""
    return markdown_table(rows) if rows else "These runs have not been made yet.\n"


def name_of(row: str) -> str:
    """Return the name of a row without its number of fine maps."""
    return NAMES.get(row) or NAMES[row.split("-")[0]]


def score_rows(results: Results, rows: Iterable[str], held_out: str) -> list[Row]:
    """Return the scores of each row on a held-out list."""
    return [
        {"method": name_of(row), "fine maps": str(results.fine_maps(row))}
        | {name: shown(name, results.score(row, name, held_out)) for name in COLUMNS}
        for row in rows
    ]


def shown(name: str, value: float) -> str:
    return f"{value:.0f}" if name == "worse" else f"{value:.2f}"


def class_rows(results: Results, rows: Iterable[str]) -> list[Row]:
    """Return the IoU of each class on val."""
    return [
        {"method": name_of(row), "fine maps": str(results.fine_maps(row))}
        | {name: f"{results.score(row, f'IoU {name}'):.1f}" for name in results.classes}
        for row in rows
    ]


def part_rows(results: Results) -> list[Row]:
    """Compare changed second stages with the unchanged one, with 10 % of the fine maps."""
    return [
        {
            "stage 2": PARTS.get(kind, "default"),
            "less control, mIoU, drive": f"{results.gain(row, 'control-10', 'drive'):+.2f}",
            "less control, mIoU, val": f"{results.gain(row, 'control-10'):+.2f}",
            "pixel accuracy, drive": f"{results.score(row, 'pixel accuracy', 'drive'):.2f}",
            "pixel accuracy, val": f"{results.score(row, 'pixel accuracy'):.2f}",
        }
        for kind in ("stage2", *PARTS)
        if (row := f"{kind}-10") in results and "control-10" in results
    ]


def worth_rows(results: Results) -> list[Row]:
    """Return what the plain U-Net reaches with each kind of map, and the share of the gap."""
    if not all(row in results for row in WORTH):
        return []
    rows = []
    for row, learned in WORTH.items():
        each: Row = {"the other maps are": learned}
        for held_out in HELD_OUT:
            gap = results.gain("plain", "plain-coarse", held_out)
            closed = 100 * results.gain(row, "plain-coarse", held_out) / gap
            each[f"mIoU, {held_out}"] = f"{results.score(row, 'mIoU', held_out):.2f}"
            accuracy = results.score(row, "pixel accuracy", held_out)
            each[f"pixel accuracy, {held_out}"] = f"{accuracy:.2f}"
            each[f"gap closed, {held_out}"] = f"{closed:.0f} %"
        rows.append(each)
    return rows


def goal_rows(results: Results) -> list[Row]:
    """Return each goal with what was reached on val."""
    rows = []
    if "model1" in results:
        before, after = (100 - results.score(row, "labelled") for row in (COARSE, "model1"))
        filled = results.score("model1", "unlabelled")
        lost = [
            name
            for name in results.classes
            if results.score("model1", f"IoU {name}") < results.score(COARSE, f"IoU {name}")
        ]
        rows += [
            goal("Model 1: error in labelled pixels", f"at most {before / 2:.2f}", f"{after:.2f}",
                 after <= before / 2),
            goal("Model 1: unlabelled pixels filled in rightly", "90", f"{filled:.1f}",
                 filled >= 90),
            goal("Model 1: classes whose IoU is below that of the coarse maps", "none",
                 ", ".join(lost) or "none", not lost),
        ]  # fmt: skip
    if all(row in results for row in ("model1", "control-10", "stage2-10")):
        way = results.gain("stage2-10", "control-10") / results.gain("model1", "control-10")
        rows.append(
            goal("stage 2 with 10 %: share of the way from control to Model 1, mIoU", "25 %",
                 f"{100 * way:.0f} %", way >= 0.25)
        )  # fmt: skip
    if all(row in results for row in WORTH):
        closed = results.gain("plain-refined", "plain-coarse") / results.gain(
            "plain", "plain-coarse"
        )
        rows.append(
            goal("plain U-Net on refined maps: share of the gap from coarse to fine, mIoU", "50 %",
                 f"{100 * closed:.0f} %", closed >= 0.5)
        )  # fmt: skip
    return rows


def goal(what: str, wanted: str, reached: str, is_met: bool) -> Row:
    return {
        "on val, in per cent": what,
        "goal": wanted,
        "reached": reached,
        "": "met" if is_met else "missed",
    }
