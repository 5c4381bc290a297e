"""Ship a trained run as a bundled model: half-precision weights and a model card.

    python scripts/export_model.py RUN_FOLDER NAME --data ROOT --splits FILE --test report:test

The card's figures are measured here, with the shipped weights, on the test pairs.
"""

import argparse
import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from c2f_core.data.layouts import open_pairs
from c2f_core.data.splits import read_split
from c2f_core.experiments.evaluation import evaluate, summary_rows
from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import Row, formatted, markdown_table
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.models.metadata import RecordedConfig
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.learned import Refiner
from c2f_core.training.loading import load_training_data
from c2f_core.training.run_folder import RunFolder

CARD = """# Model card: {name}

Conditional U-Net (image and coarse map in, fine map out) for the class table
`{table}`: {classes}.

| | |
| --- | --- |
| data | {data} |
| split | {split} |
| trained on | {train} of these pairs; {validation} more chose the checkpoint and calibrated it |
| command | `c2f-train --config src/c2f_core/models/{name}.config.json` |
| seed | {seed} |
| hardware | {hardware} |
| date | {date} |
| network | {parameters:,} parameters, float16 on disk ({size:.1f} MB) |
| temperature | {temperature:.3f} |
| library versions | {versions} |
| data fingerprint | `{fingerprint}` |

## Scores

Scores of the shipped file on {test} test pairs of the same split, of people that it has
never seen, in per cent except for counts. Pixel accuracy and boundary scores are
means over the images.

{scores}
Written by `scripts/export_model.py`.

## Limits

{limits}
"""

LIMITS = """- Trained on frontal faces under even light in front of a grey wall; other
  backgrounds, scales and colours come from augmentation alone. Other poses,
  beards, glasses, hats and dark or harsh light are rare or missing in the data.
- It follows the labelling habits of one dataset: eyebrows are hair, ears and
  neck are skin, clothes are background.
- The confidence is calibrated on validation images of the same dataset. On
  other pictures it shows where to look first, and is not a probability.
- The photographs are for research use; they are not part of this package."""


def main() -> None:
    """Export a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--test", required=True, help="list of test pairs, such as report:test")
    parser.add_argument("--data-name", default="FASSEG frontal01 (coarse) and frontal02 (fine)")
    parser.add_argument("--hardware", default=f"{os.cpu_count()} CPU cores ({platform.machine()})")
    options = parser.parse_args()
    folder = RunFolder(options.run)
    config = folder.read_config()
    trained = load_training_data(config)
    generator, metadata = load_checkpoint(folder.best)
    # Paths of the machine that trained say nothing to others.
    data = config.data.model_copy(update={"root": Path("fasseg"), "splits": Path("splits.json")})
    changes = {
        "data": data,
        "run_folder": Path("runs") / options.name,
        "threads": None,
        "precision": "auto",
    }
    portable = config.model_copy(update=changes)
    path = BUNDLED_FOLDER / f"{options.name}.safetensors"
    recorded = RecordedConfig.model_validate(portable.model_dump(mode="json"))
    save_checkpoint(path, generator, metadata.model_copy(update={"config": recorded}), half=True)
    with atomic_path(BUNDLED_FOLDER / f"{options.name}.config.json") as temporary:
        temporary.write_text(portable.model_dump_json(indent=2) + "\n", encoding="utf-8")

    pairs = open_pairs(options.data, metadata.class_table).subset(
        read_split(options.splits, options.test)
    )
    refiners = [
        *(kind(metadata.class_table) for kind in CLASSICAL_REFINERS.values()),
        Refiner.load(path),
    ]
    rows = summary_rows(evaluate(refiners, pairs), metadata.class_table.names)
    card = CARD.format(
        name=options.name,
        table=metadata.class_table.name,
        classes=", ".join(metadata.class_table.names),
        data=options.data_name,
        split=f"`{config.data.train}`, no person on both sides",
        train=len(trained.train),
        validation=len(trained.validation),
        seed=config.seed,
        hardware=options.hardware,
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        parameters=sum(parameter.numel() for parameter in generator.parameters()),
        size=path.stat().st_size / 1e6,
        temperature=metadata.temperature,
        versions=", ".join(f"{key} {value}" for key, value in metadata.library_versions.items()),
        fingerprint=metadata.data_fingerprint[:16],
        test=len(pairs),
        scores=markdown_table(transposed(rows)),
        limits=LIMITS,
    )
    with atomic_path(BUNDLED_FOLDER / f"{options.name}.md") as temporary:
        temporary.write_text(card, encoding="utf-8")
    print(card)


def transposed(rows: Sequence[Row]) -> list[Row]:
    """Turn one row for each method into one row for each score."""
    scores = [column for column in rows[0] if column != "method"]
    return [
        {"score": score, **{str(row["method"]): formatted([row])[0][score] for row in rows}}
        for score in scores
    ]


if __name__ == "__main__":
    main()
