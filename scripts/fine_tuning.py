"""Fine-tuning on corrections: accuracy on unseen faces by the number of corrected images.

    python scripts/fine_tuning.py --data FASSEG --splits FASSEG/splits.json [--arms bundled]
    python scripts/fine_tuning.py --tables-only

The annotator is simulated with FASSEG: the corrected map of an image is its fine map. As
in the Project widget, every fourth corrected image, beginning with the second, is held out
to score the new model, and the model is replaced only by a better one. No person of the
unseen images is among the corrected ones, or among those that the start model knows.

- bundled: the bundled model was trained on all 50 training images of the split `report`,
  so corrected and unseen images are parts of its 20 test images, separated by person;
  each image is unseen once. There are too few test images for 20 corrected ones, so the
  maximum is 18, in ten runs that leave two other images unseen each.
- small: a model trained on ten `train_fine` images; the corrected ones are from
  `train_coarse_only`, and all 20 test images are unseen.
- scratch: no model; images as in `small`.

Each run is one record in docs/results/fine_tuning.json. Recorded runs are not repeated and
an interrupted run is continued, so the script can be stopped at any time.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from results import DOCS, default_hardware, finished_run, today

from c2f_core.config.settings import TrainConfig
from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import Pair, PairSource
from c2f_core.data.splits import assign_roles, draw_folds, read_groups, read_split
from c2f_core.experiments.cross_validation import RunRecord, add_record, read_records
from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import Row, markdown_table
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.project.records import HELD_OUT_EVERY
from c2f_core.training.fine_tuning import (
    Corrections,
    FineTuneResult,
    FineTuningSettings,
    accuracy_of,
    fine_tune,
)

RECORDS = DOCS / "results" / "fine_tuning.json"
PAGE_FILE = DOCS / "results" / "fine_tuning.md"
KNOWN = "report:train_fine+report:train_coarse_only"
TEST = "report:test"
SMALL = 10
"""Images that the small start model knows."""
COUNTS = {"bundled": (0, 2, 5, 10, 18), "small": (0, 2, 5, 10, 20), "scratch": (0, 2, 5, 10, 20)}
"""Numbers of corrected images by start model."""
PARTS = {0: 2, 2: 2, 5: 2, 10: 2, 18: 10}
"""Parts of the test images that are unseen in turn, by corrected images, for the bundled model."""
TITLES = {
    "bundled": "the bundled model (50 images)",
    "small": f"a model of {SMALL} images",
    "scratch": "random weights",
}

PAGE = """# Fine-tuning on corrections

Written by `scripts/fine_tuning.py`; no figure here was entered by hand.

Pixel accuracy in per cent on faces that neither the start model nor the fine-tuning has seen;
no person is on both sides. The first figure is that of the model in use after
fine-tuning: the new one if it was better on the held-out corrected images, otherwise the
old one. The figure in brackets is that of a new model that was not taken. Without corrected
images it is the start model or, if there is none, the coarse maps. The corrected and the unseen
images of the bundled model are parts of the test images: means over both halves or, with 18
corrected images, over ten runs with two unseen images each.

{table}
Every fourth corrected image, beginning with the second, is held out. The
bundled and the small model replay the images that they were trained on in half of the crops.

| | |
| --- | --- |
| command | `python scripts/fine_tuning.py --data FASSEG --splits FASSEG/splits.json` |
| fine-tuning | {steps} steps of {batch} crops of {crop} px; from random weights {scratch_steps} |
| steps of the small start model | {start_steps} |
| seed | {seed} |
| time of fine-tuning | {seconds:.0f} s on average, one thread |
| hardware | {hardware} |
| date | {date} |
"""


@dataclass(frozen=True)
class Cell:
    """One run: its start model, the number of corrected images, and the part that is unseen."""

    arm: str
    corrected: int
    part: int

    def is_recorded(self, records: Sequence[RunRecord]) -> bool:
        """Return whether the run was recorded."""
        key = (self.arm, self.corrected, self.part)
        return any((each["arm"], each["corrected"], each["part"]) == key for each in records)


def cells(arms: Sequence[str]) -> Iterator[Cell]:
    """Yield all runs, the quick ones first."""
    for arm in arms:
        for corrected in COUNTS[arm]:
            for part in range(parts_of(arm, corrected)):
                yield Cell(arm, corrected, part)


def parts_of(arm: str, corrected: int) -> int:
    """Return the number of parts into which the test images are split."""
    return PARTS[corrected] if arm == "bundled" else 1


class Faces:
    """FASSEG, and which images each run may be trained and scored on."""

    def __init__(self, options: argparse.Namespace) -> None:
        splits, small = options.splits, small_config(options)
        self.source: PairSource = open_pairs(options.data)
        self.known = read_split(splits, KNOWN)
        self.test = read_split(splits, TEST)
        self.small = assign_roles(small.data, small.seed, self.source.names, bool).train
        self.others = read_split(splits, "report:train_coarse_only")
        self.seed, self.persons = options.seed, read_groups(splits)

    def pairs(self, names: Sequence[str]) -> list[Pair]:
        """Read the pairs of these names."""
        return list(self.source.subset(names))

    def names(self, cell: Cell) -> tuple[list[str], list[str], list[str]]:
        """Return the names of the corrected, the known and the unseen images of a run."""
        if cell.arm == "bundled":
            number = parts_of(cell.arm, cell.corrected)
            parts = draw_folds(self.test, number, self.seed, self.persons)
            unseen, known = parts.pop(cell.part), self.known
            corrected = [name for part in parts for name in part]
        else:
            corrected, unseen = self.others, self.test
            known = self.small if cell.arm == "small" else []
        return corrected[: cell.corrected], known, unseen


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/fine_tuning"))
    parser.add_argument("--arms", nargs="*", choices=COUNTS, default=list(COUNTS))
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--steps", type=int, default=FineTuningSettings().steps)
    parser.add_argument("--scratch-steps", type=int, default=400)
    parser.add_argument("--start-steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hardware", default=default_hardware())
    parser.add_argument("--tables-only", action="store_true")
    options = parser.parse_args()
    if not options.tables_only:
        if options.data is None or options.splits is None:
            parser.error("--data and --splits are needed to fine-tune")
        faces = Faces(options)
        for cell in cells(options.arms):
            if not cell.is_recorded(read_records(options.records)):
                add_record(options.records, measured(cell, faces, options))
    write_page(read_records(options.records), options.records.with_suffix(".md"))


def measured(cell: Cell, faces: Faces, options: argparse.Namespace) -> RunRecord:
    """Fine-tune once, and score the model on the unseen images; return the record."""
    corrected, known, unseen = (faces.pairs(names) for names in faces.names(cell))
    table, start = faces.source.class_table, start_model(cell, options)
    started = time.perf_counter()
    result = fine_tuned(cell, start, corrected, known, options) if corrected else None
    seconds = time.perf_counter() - started
    before = accuracy_of(start, unseen, table)
    after = before if result is None else accuracy_of(result.checkpoint, unseen, table)
    taken = result is not None and result.is_better
    record: RunRecord = {
        "arm": cell.arm,
        "corrected": cell.corrected,
        "part": cell.part,
        "unseen": [pair.name for pair in unseen],
        "names": [pair.name for pair in corrected],
        "accuracy": round(100 * (after if taken else before), 3),
        "new model": round(100 * after, 3),
        "taken": taken,
        "held out": None
        if result is None
        else [round(100 * value, 3) for value in (result.coarse, result.before, result.after)],
        "seconds": round(seconds, 1),
        "steps": steps_of(cell, options),
        "start steps": options.start_steps,
        "seed": options.seed,
        "hardware": options.hardware,
        "date": today(),
    }
    print(record, flush=True)
    return record


def steps_of(cell: Cell, options: argparse.Namespace) -> int:
    """Return the number of steps of a run."""
    return int(options.scratch_steps if cell.arm == "scratch" else options.steps)


def fine_tuned(
    cell: Cell,
    start: Path | None,
    corrected: Sequence[Pair],
    known: Sequence[Pair],
    options: argparse.Namespace,
) -> FineTuneResult:
    """Fine-tune a model on the corrected pairs except those held out."""
    held_out = corrected[1::HELD_OUT_EVERY]
    names = {pair.name for pair in held_out}
    corrections = Corrections(
        open_pairs(options.data).class_table,
        [pair for pair in corrected if pair.name not in names],
        held_out,
        known,
    )
    settings = FineTuningSettings(
        steps=steps_of(cell, options), seed=options.seed, threads=options.threads
    )
    *_, result = fine_tune(start, corrections, options.runs / cell.arm, settings)
    assert isinstance(result, FineTuneResult)
    return result


def start_model(cell: Cell, options: argparse.Namespace) -> Path | None:
    """Return the checkpoint that a run starts from; the small one is trained first."""
    if cell.arm == "scratch":
        return None
    if cell.arm == "bundled":
        return BUNDLED_FOLDER / "fasseg.safetensors"
    return finished_run(small_config(options)).last


def small_config(options: argparse.Namespace) -> TrainConfig:
    """Return the settings of the small start model."""
    return TrainConfig.model_validate(
        {
            "data": {
                "root": options.data,
                "splits": options.splits,
                "train": "report:train_fine",
                "fine_maps": SMALL,
            },
            "run_folder": options.runs / "start",
            "steps": options.start_steps,
            "validate_every": options.start_steps,
            "seed": options.seed,
            "threads": options.threads,
        }
    )


def write_page(records: Sequence[RunRecord], path: Path) -> None:
    """Write the table of all records."""
    if not records:
        raise SystemExit("There are no records yet; give --data and --splits.")
    settings = FineTuningSettings()
    first = records[0]
    seconds = [each["seconds"] for each in records if each["corrected"]]
    page = PAGE.format(
        table=markdown_table(list(rows(records))),
        steps=_of("steps", [each for each in records if each["arm"] != "scratch"]),
        scratch_steps=_of("steps", [each for each in records if each["arm"] == "scratch"]),
        start_steps=first["start steps"],
        batch=settings.batch_size,
        crop=settings.crop,
        seed=first["seed"],
        seconds=np.mean(seconds) if seconds else 0.0,
        hardware=_all_of("hardware", records),
        date=_all_of("date", records),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


def _all_of(key: str, records: Sequence[RunRecord]) -> str:
    return "; ".join(dict.fromkeys(each[key] for each in records))


def _of(key: str, records: Sequence[RunRecord]) -> str:
    return str(records[0][key]) if records else "–"


def rows(records: Sequence[RunRecord]) -> Iterator[Row]:
    """Yield a row for each number of corrected images, a column for each start."""
    for count in sorted({each["corrected"] for each in records}):
        of_count = [each for each in records if each["corrected"] == count]
        yield {
            "corrected images": str(count),
            **{
                title: _cell([e for e in of_count if e["arm"] == arm])
                for arm, title in TITLES.items()
            },
        }


def _cell(records: Sequence[RunRecord]) -> str:
    if not records:
        return "–"
    in_use = np.mean([each["accuracy"] for each in records])
    new_model = np.mean([each["new model"] for each in records])
    return f"{in_use:.2f}" if in_use == new_model else f"{in_use:.2f} ({new_model:.2f})"


if __name__ == "__main__":
    main()
