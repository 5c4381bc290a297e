"""Compare a model with two annotators of the same photographs; write docs/results/annotators.md.

    python scripts/fasseg.py --data FASSEG --splits FASSEG/splits.json --folds annotators
    python scripts/annotators.py --data FASSEG --splits FASSEG/splits.json

Six photographs of FASSEG were annotated twice, coarsely and finely. The first command
trains a model without the persons on them. Each annotator's coarse map is refined and
compared with that annotator's fine map, and with the other's.
"""

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from results import DOCS, default_hardware, options_of_fasseg_runs, today

from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import Pair
from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import Row, markdown_table
from c2f_core.metrics.scores import Scores, mean_scores, score_pair
from c2f_core.refine.learned import Refiner

RUN = "foldannotators-fine*-seed0/model1/last.safetensors"
SHOWN = ("pixel accuracy", "mIoU", "trimap 5")

PAGE = """# As good as a second annotator?

Written by `scripts/annotators.py`; no figure here was entered by hand.

{photographs} photographs of FASSEG were annotated by two people, each of whom drew a fine map. For
{same} of them both used the same coarse map, so its refinement is scored
against both fine maps. The model has seen none of the people shown. In per cent; in each row
the second map is taken as the truth. Pixel accuracy and trimap are means over {comparisons}
comparisons, mIoU is that of the pooled pixels.

{agreement}
By photograph, in pixel accuracy:

{photograph_rows}
| | |
| --- | --- |
| command | `python scripts/annotators.py --data FASSEG --splits FASSEG/splits.json` |
| trained on | {trained_on} images, {steps} steps of {batch} crops of {crop} px |
| seed | {seed} |
| hardware | {hardware} |
| date | {date} |
"""

Map = NDArray[np.uint8]


def main() -> None:
    """Refine, compare, write."""
    options = options_of_fasseg_runs(__doc__)
    checkpoints = sorted(options.runs.glob(RUN))
    if not checkpoints:
        raise SystemExit(
            f"There is no {options.runs / RUN}; train it with scripts/fasseg.py first."
        )
    refiner = Refiner.load(checkpoints[0], "cpu")
    twice = json.loads(options.splits.read_text(encoding="utf-8"))["same_photo_annotated_twice"]
    source = open_pairs(options.data)
    photographs = [tuple(source.subset(names)) for names in twice]
    scores = [compare(first, second, refiner) for first, second in photographs]
    config = refiner.metadata.config.model_dump()
    page = PAGE.format(
        photographs=len(photographs),
        same=sum(np.array_equal(first.coarse, second.coarse) for first, second in photographs),
        comparisons=2 * len(photographs),
        agreement=markdown_table(list(agreement_rows(scores, refiner.class_table.names))),
        photograph_rows=markdown_table(
            [
                {"photograph": " = ".join(names)}
                | {
                    kind: f"{100 * np.mean([each.pixel_accuracy for each in values]):.2f}"
                    for kind, values in compared.items()
                }
                for names, compared in zip(twice, scores, strict=True)
            ]
        ),
        trained_on=config["data"]["fine_maps"],
        steps=config["steps"],
        batch=config["batch_size"],
        crop=config["crop"],
        seed=config["seed"],
        hardware=default_hardware(),
        date=today(),
    )
    with atomic_path(DOCS / "results" / "annotators.md") as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


def compare(first: Pair, second: Pair, refiner: Refiner) -> dict[str, list[Scores]]:
    """Score both annotators' maps of one photograph against each other and the model's."""
    refined = {id(pair): refine(pair, refiner) for pair in (first, second)}
    kinds: dict[str, list[Scores]] = {}
    for own, other in ((first, second), (second, first)):
        for kind, class_ids, truth in (
            ("coarse map and its annotator", own.coarse, own.fine),
            ("coarse map and the other annotator", own.coarse, other.fine),
            ("annotator and the other annotator", own.fine, other.fine),
            ("model and its annotator", refined[id(own)], own.fine),
            ("model and the other annotator", refined[id(own)], other.fine),
        ):
            assert class_ids is not None, "both annotators drew fine maps"
            assert truth is not None, "both annotators drew fine maps"
            classes = refiner.class_table.number_of_classes
            kinds.setdefault(kind, []).append(score_pair(class_ids, own.coarse, truth, classes))
    return kinds


def refine(pair: Pair, refiner: Refiner) -> Map:
    """Refine the coarse map of one annotator; (Y, X) class ids."""
    table = refiner.class_table
    return table.to_class_ids(refiner.refine(pair.image, table.to_labels(pair.coarse)).labels)


def agreement_rows(scores: list[dict[str, list[Scores]]], names: tuple[str, ...]) -> Iterator[Row]:
    """Return the mean agreement of each kind."""
    for kind in scores[0]:
        summary = mean_scores([each for photograph in scores for each in photograph[kind]], names)
        yield {"agreement of": kind, **{name: summary[name] for name in SHOWN}}


if __name__ == "__main__":
    main()
