"""Pages and figures of the FASSEG runs, from docs/results/fasseg.json and fasseg-other.json.

`fasseg.py` calls this; see there.
"""

import itertools
import json
import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from fasseg_texts import FEW_TEXT, REPORT_TEXT
from results import DOCS

from c2f_core.experiments.comparison import SHARES
from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import Row, markdown_table

Fold = int | str
"""Number of a fold, or the name of another split."""
Record = dict[str, Any]
"""One run: what was trained, and how it scored."""
RECORDS = DOCS / "results" / "fasseg.json"
OTHER_RECORDS = DOCS / "results" / "fasseg-other.json"
"""Records without a row in the tables: the coarse maps, and the fold of the annotators."""
REFERENCE = "reference"
"""Model name in the records of the unrefined coarse maps."""
FEW_PAGE = DOCS / "results" / "fasseg.md"
REPORT_PAGE = DOCS / "results" / "report.md"
LABEL_EFFICIENCY = DOCS / "images" / "label-efficiency.png"
ALL_PAIRS = 56
"""Training pairs of a fold: Model 1 and the plain U-Net use all their fine maps."""
NAMES = {
    REFERENCE: "coarse maps",
    "model1": "Model 1",
    "plain": "plain U-Net",
    "stage1": "stage 1",
    "stage2": "stage 2",
    "with-evidence": "stage 2, with evidence",
    "mean-teacher": "mean teacher",
    "stage1-longer": "stage 1, longer",
    "stage1-no-recolouring": "stage 1, not recoloured",
    "stage1-no-distortion": "stage 1, not distorted",
}
ABLATION = "ablation-"
"""Prefix of the rows of stage 2 without one of its parts."""
OTHER_STAGES2 = ("with-evidence", "mean-teacher")
"""Rows that are listed with the ablations and on their own."""
REPORTED = {REFERENCE: 89.9, "model1": 94.5, "plain": 92.8, "stage1": 91.4, "stage2": 2.3}
"""Pixel accuracies (%) in the report's table 1."""

GOALS = {
    ("model1", ALL_PAIRS): (96.4, 97.0),
    ("stage1", 20): (96.0, 96.4),
    ("stage1-longer", 20): (96.0, 96.4),
}
"""Pixel accuracy (%), required and aimed at, by row of the tables."""
STAGE2_GOAL_AT, LEAST_WAY, LARGEST_FALL = (1, 2, 5), 0.25, 0.1
"""Fine maps, required share of the way to Model 1, and largest allowed loss (in points)."""
SHORTEST_WAY = 0.1
"""Points between control and Model 1 below which no share of the way is given."""
MOST_FINE = 20
"""Fine maps with which stage 2 should at least not fall behind its control."""


def read_records() -> list[Record]:
    """Read all records; an empty list if there are no files yet."""
    files = (path for path in (RECORDS, OTHER_RECORDS) if path.exists())
    return [record for path in files for record in json.loads(path.read_text(encoding="utf-8"))]


def write_records(records: list[Record]) -> None:
    """Write all records, one line each."""
    RECORDS.parent.mkdir(parents=True, exist_ok=True)
    for path, other in ((RECORDS, False), (OTHER_RECORDS, True)):
        lines = [json.dumps(each) for each in records if _is_other(each) is other]
        with atomic_path(path) as temporary:
            temporary.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def _is_other(record: Record) -> bool:
    """Return whether a record is of the reference or of the comparison of two annotators."""
    return record["model"] == REFERENCE or record["fold"] == "annotators"


def write_pages(facts: dict[str, str], report_facts: dict[str, str]) -> None:
    """Write pages and figures from the records.

    Parameters
    ----------
    facts, report_facts : dict
        Rows about how the runs were made, by name, for the page of few fine maps and for
        that of the report.
    """
    records = read_records()
    folds = [record for record in records if isinstance(record["fold"], int)]
    draw_label_efficiency(folds)
    few = FEW_TEXT.format(
        summary=table_of(summary_rows(folds)),
        goals=table_of(goal_rows(folds)),
        control=table_of(control_rows(folds)),
        ablations=table_of(ablation_rows(folds)),
        how=how_table(folds, facts),
    )
    on_report = [record for record in records if record["fold"] == "report"]
    pages = {FEW_PAGE: few}
    if on_report:
        pages[REPORT_PAGE] = REPORT_TEXT.format(
            table=table_of(report_rows(on_report)), how=how_table(on_report, report_facts)
        )
    for path, text in pages.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def table_of(rows: list[Row]) -> str:
    """Return a table, or a sentence if its runs have not been made."""
    return markdown_table(rows) if rows else "These runs have not been made yet.\n"


def how_table(records: list[Record], facts: dict[str, str]) -> str:
    """Return a table of the command, settings, hardware and dates of the runs."""
    records = [record for record in records if record["model"] != REFERENCE]
    hours = sum(each["seconds"] for each in records) / 3600
    rows = facts | {
        "runs": f"{len(records)}, {hours:.1f} hours in all",
        "seeds": ", ".join(str(seed) for seed in sorted({each["seed"] for each in records})),
        "hardware": "; ".join(hardware_of(records)),
        "date": ", ".join(sorted({each["date"] for each in records})),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| | |", "| --- | --- |", *lines]) + "\n"


def hardware_of(records: list[Record]) -> list[str]:
    """Name each machine and, if there are several, what was trained on it."""
    models: dict[str, set[str]] = {}
    for record in records:
        model = record["model"]
        name = "ablations" if ABLATION in model else NAMES.get(model, model)
        models.setdefault(record["device"], set()).add(name)
    if len(models) == 1:
        return list(models)
    return [f"{device}: {', '.join(sorted(models[device]))}" for device in sorted(models)]


def grouped(records: list[Record]) -> dict[tuple[str, int], list[Record]]:
    """Group records by row of the tables: model and number of fine maps."""
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in sorted(records, key=lambda each: (-each["fine"], each["model"], each["fold"])):
        groups.setdefault((record["model"], record["fine"]), []).append(record)
    return groups


def summary_rows(records: list[Record]) -> list[Row]:
    """Return mean and standard deviation over the folds for each row."""
    return [
        {
            "method": NAMES.get(model, model),
            "fine maps": str(fine),
            "folds": ", ".join(str(record["fold"]) for record in group),
            **{name: spread([each[key] for each in group]) for key, name in SHARES.items()},
            "worse": str(sum(record["worse"] for record in group)),
            "network alone": network_alone(group),
        }
        for (model, fine), group in grouped(records).items()
        if ABLATION not in model
    ]


def network_alone(group: list[Record]) -> str:
    """Format the pixel accuracy without colours; a dash if there is no network."""
    alone = [record["network_alone"] for record in group if "network_alone" in record]
    return spread([each["pixel_accuracy"] for each in alone]) if alone else "–"


def spread(values: list[float], form: str = ".2f", shared_by: int = 1) -> str:
    """Format mean ± standard deviation, or ± standard error if the number of values is given."""
    mean = f"{np.mean(values):{form}}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {np.std(values, ddof=1) / math.sqrt(shared_by):.2f}"


def differences(
    records: list[Record], model: str, other: str, fine: int, score: str
) -> dict[Fold, float]:
    """Return one model's score minus another's by fold, for folds and seeds that have both.

    Model 1 and the plain U-Net stand for themselves whatever the number of fine maps.
    """
    by_place: dict[str, dict[tuple[Fold, int], float]] = {}
    for record in records:
        if record["fine"] == fine or record["model"] in ("model1", "plain"):
            scores = by_place.setdefault(record["model"], {})
            scores[record["fold"], record["seed"]] = record[score]
    first, second = by_place.get(model, {}), by_place.get(other, {})
    both = [place for place in first if place in second]
    return {
        fold: float(np.mean([first[p] - second[p] for p in both if p[0] == fold]))
        for fold in sorted({place[0] for place in both}, key=str)
    }


def control_rows(records: list[Record]) -> list[Row]:
    """Compare stage 2 with its control, fold by fold, and with the way to Model 1."""
    rows: list[Row] = []
    alone = [record | record.get("network_alone", {}) for record in records]
    kinds = {"network and colours": records, "network alone": alone}
    fines = sorted({record["fine"] for record in records} - {0, ALL_PAIRS})
    for fine, score, kind in itertools.product(fines, ("pixel_accuracy", "miou"), kinds):
        gains, way = way_to_model1(kinds[kind], fine, score)
        if not gains:
            continue
        share = "–" if math.isnan(way) else f"{100 * way:.0f} %"
        row: Row = {
            "fine maps": str(fine),
            "score": SHARES[score],
            "refined by": kind,
            "stage 2 less control, by fold": ", ".join(f"{gain:+.2f}" for gain in gains.values()),
            "mean": spread(list(gains.values()), "+.2f", len(gains)),
            "better in": f"{sum(gain > 0 for gain in gains.values())} of {len(gains)}",
            "of the way to Model 1": share,
        }
        rows.append(row)
    return rows


def way_to_model1(records: list[Record], fine: int, score: str) -> tuple[dict[Fold, float], float]:
    """Return stage 2 minus its control by fold, and as a share of the way to Model 1.

    The share is NaN where the control is as good as Model 1, or nearly.
    """
    gains = differences(records, "stage2", "control", fine, score)
    ways = differences(records, "model1", "control", fine, score)
    measured = [fold for fold in gains if fold in ways]
    way, gained = (sum(each[fold] for fold in measured) for each in (ways, gains))
    return gains, gained / way if way > SHORTEST_WAY * len(measured) else math.nan


def goal_rows(records: list[Record]) -> list[Row]:
    """Compare the scores with the goals of the project."""
    reached = {row: mean_of(group, "pixel_accuracy") for row, group in grouped(records).items()}
    rows: list[Row] = []
    for (model, fine), (least, aim) in GOALS.items():
        if (model, fine) in reached:
            value = reached[model, fine]
            rows.append(
                {
                    "goal": f"{NAMES[model]}, {fine} fine maps",
                    "at least": f"{least:.1f} %",
                    "aim": f"{aim:.1f} %",
                    "reached": f"{value:.2f} %",
                    "": "met" if value >= least else "missed",
                }
            )
    for fine in STAGE2_GOAL_AT:
        gains, share = way_to_model1(records, fine, "pixel_accuracy")
        better, among = sum(gain > 0 for gain in gains.values()), len(gains)
        if gains:
            rows.append(
                stage2_row(
                    f"{fine} fine map{'s' * (fine > 1)}",
                    "25 % of the way to Model 1, better in 4 of 5",
                    f"{100 * share:.0f} %, {better} of {among}",
                    share >= LEAST_WAY and better >= 4,
                )
            )
    if gains := differences(records, "stage2", "control", MOST_FINE, "pixel_accuracy"):
        mean = float(np.mean(list(gains.values())))
        name = f"{MOST_FINE} fine maps"
        rows.append(stage2_row(name, "not below it in the mean", f"{mean:+.2f}", mean >= 0))
    falls = [
        gain
        for fine in {record["fine"] for record in records}
        for gain in differences(records, "stage2", "control", fine, "pixel_accuracy").values()
    ]
    if falls:
        lowest = min(falls)
        least = f"never {LARGEST_FALL} lower in a fold"
        rows.append(stage2_row("all", least, f"{lowest:+.2f}", lowest >= -LARGEST_FALL))
    return rows


def stage2_row(which: str, least: str, reached: str, met: bool) -> Row:
    """Return the row of a goal of stage 2 against its control."""
    return {
        "goal": f"stage 2 over its control, {which}",
        "at least": least,
        "aim": "Model 1",
        "reached": reached,
        "": "met" if met else "missed",
    }


def mean_of(records: list[Record], score: str) -> float:
    """Return the mean of a score."""
    return float(np.mean([record[score] for record in records]))


def ablation_rows(records: list[Record]) -> list[Row]:
    """Compare stage 2, and stage 2 with evidence, with each variant that differs in one part."""
    rows: list[Row] = []
    for (model, fine), _ in grouped(records).items():
        base = "with-evidence" if model.startswith("with-evidence-") else "stage2"
        part = model.removeprefix("with-evidence-")
        if not part.startswith(ABLATION) and model not in OTHER_STAGES2:
            continue
        name = NAMES.get(model) or f"without {part.removeprefix(ABLATION).replace('-', ' ')}"
        row: Row = {"of": NAMES[base], "less": name, "fine maps": str(fine)}
        for score in ("pixel_accuracy", "miou"):
            gains = differences(records, base, model, fine, score)
            row[SHARES[score]] = ", ".join(f"{gain:+.2f}" for gain in gains.values())
            row[f"mean {SHARES[score]}"] = f"{np.mean(list(gains.values())):+.2f}" if gains else ""
            row["folds"] = ", ".join(map(str, gains))
        rows.append(row)
    return rows


def report_rows(records: list[Record]) -> list[Row]:
    """Return the report's table 1 with ours: with its settings, and with our own."""
    by_model = {record["model"]: record for record in records}
    rows: list[Row] = []
    for model, reported in REPORTED.items():
        for suffix, settings in (("-report", "the report's"), ("", "ours")):
            record = by_model.get(model + suffix)
            if record is None:
                continue
            row: Row = {"method": NAMES[model]}
            row["settings"] = "–" if model == REFERENCE else settings
            row["fine maps"] = str(record["fine"])
            is_theirs = suffix or model == REFERENCE
            row["in the report"] = f"{reported}" if is_theirs else ""
            rows.append(row | {name: f"{record[key]:.2f}" for key, name in SHARES.items()})
    return rows


def draw_label_efficiency(records: list[Record]) -> None:
    """Draw means over the folds by number of fine maps, bars of one standard deviation."""
    groups = grouped(records)
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for axes, score in zip(panels, ("pixel_accuracy", "miou"), strict=True):
        # Beside each other, so that no bar hides another.
        for model, shift in (("stage1", 0.95), ("control", 1.0), ("stage2", 1.05)):
            fines = sorted(fine for name, fine in groups if name == model)
            places = [shift * fine for fine in fines]
            values = [[each[score] for each in groups[model, fine]] for fine in fines]
            means = [np.mean(each) for each in values]
            deviations = [np.std(each, ddof=1) if len(each) > 1 else 0 for each in values]
            name = NAMES.get(model, model)
            axes.errorbar(places, means, deviations, marker="o", capsize=3, label=name)
        if ("model1", ALL_PAIRS) in groups:
            level = np.mean([each[score] for each in groups["model1", ALL_PAIRS]])
            axes.axhline(level, color="black", ls="--", label=f"Model 1, {ALL_PAIRS} fine maps")
        axes.set(xlabel="fine maps", ylabel=f"{SHARES[score]} (%)", xscale="log")
        axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
        axes.grid(alpha=0.3)
    panels[0].legend()
    LABEL_EFFICIENCY.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(LABEL_EFFICIENCY, dpi=110)
    plt.close(figure)
