"""`c2f-evaluate`: score models and classical refiners on pairs with fine maps."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

from c2f_core.cli.console import check_output, run_command, show_table
from c2f_core.cli.cross_validate import cross_validate_configs
from c2f_core.errors import DataError

if TYPE_CHECKING:
    from c2f_core.classes.table import ClassTable
    from c2f_core.data.pairs import FilePairs
    from c2f_core.experiments.evaluation import Evaluation
    from c2f_core.io.tables import Row
    from c2f_core.refine.interface import RefinerInterface


@dataclass(frozen=True)
class Options:
    """Score models on pairs with fine maps, and compare them with the coarse maps.

    Scores are means over images; mIoU and scores per class are pooled over all
    pixels. All are in percent. To train and score configs by cross-validation
    instead, see c2f-evaluate --folds 5 --help.
    """

    models_and_data: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL... DATA")]
    """Any number of models (names of bundled ones, or files: .safetensors, .onnx or .zip), then the
    data folder."""
    split: str | None = None
    """List of pairs to score, as FILE.json:LIST, such as splits.json:report:test."""
    class_table: str | None = None
    """Preset, or TOML or JSON file; by default that of the first model that has one. FASSEG has
    its own."""
    classical: bool = True
    """Also score the instant refiner, the watershed and the random walker."""
    per_image: bool = False
    """Also show and write the scores of each image."""
    csv: Path | None = None
    """CSV file for all scores, as shares in [0, 1]."""
    markdown: Path | None = None
    """Markdown file for the tables."""
    device: str = "auto"
    """Device to compute on: auto, cpu, cuda or mps."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(run_command(lambda: _run(given)))


def _run(arguments: Sequence[str]) -> None:
    mode = argparse.ArgumentParser(prog="c2f-evaluate", add_help=False, allow_abbrev=False)
    mode.add_argument("--folds", type=int)
    if mode.parse_known_args(arguments)[0].folds is not None:
        cross_validate_configs(arguments)
    else:
        evaluate_models(tyro.cli(Options, prog="c2f-evaluate", args=arguments))


def evaluate_models(options: Options) -> None:
    """Score models, and print and write the scores.

    Raises
    ------
    C2FError
        If a model, the data or the split cannot be read or do not fit together, or a
        file cannot be written.
    """
    # Imported lazily, as --help does not need it.
    from c2f_core.experiments.evaluation import all_rows, class_rows, image_rows, summary_rows
    from c2f_core.io.atomic import delete_unfinished
    from c2f_core.io.tables import write_csv, write_markdown

    if not options.models_and_data:
        raise DataError("There is no data folder; give it as the last argument, after the models.")
    *models, root = options.models_and_data
    for path in (options.csv, options.markdown):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise DataError(f"{path} cannot be written; give a file in an existing folder.")
        if path is not None:
            check_output(path)
            delete_unfinished(path.parent, path)
    opened = _open_models(models, options.device)
    pairs = _open_pairs(root, options, list(opened.values()))
    refiners = _named(models, opened, pairs.class_table, options.device)
    if options.classical:
        refiners = [*_untrained(pairs.class_table), *refiners]
    evaluations = _evaluate(refiners, pairs)
    names = pairs.class_table.names
    tables = {"Scores (%)": summary_rows(evaluations, names)}
    tables["Classes (%)"] = class_rows(evaluations, names)
    if options.per_image:
        tables["Images (%)"] = image_rows(evaluations, names)
    for title, rows in tables.items():
        show_table(title, rows)
    if options.csv is not None:
        per_image = image_rows(evaluations, names) if options.per_image else []
        write_csv(options.csv, [*_all_images(all_rows(evaluations, names)), *per_image])
    if options.markdown is not None:
        write_markdown(options.markdown, tables)


def _open_models(models: Sequence[str], device: str) -> "dict[str, RefinerInterface]":
    """Open the models that have a class table; the data are read with the first one."""
    from c2f_core.models.bundled import is_for_any_classes
    from c2f_core.refine.run import open_trained

    with_table = [model for model in models if not is_for_any_classes(model)]
    return {model: open_trained(model, device) for model in with_table}


def _named(
    models: Sequence[str],
    opened: "Mapping[str, RefinerInterface]",
    class_table: "ClassTable",
    device: str,
) -> "list[RefinerInterface]":
    """Return all models in their order, under names that differ.

    Models for any classes are opened now, with the class table of the data.
    """
    from c2f_core.refine.run import open_trained
    from c2f_core.training.catalogue import distinct_names

    refiners = []
    for model, name in zip(models, distinct_names(models), strict=True):
        refiner = opened.get(model) or open_trained(model, device, class_table=class_table)
        refiner.name = name
        refiners.append(refiner)
    return refiners


def _evaluate(refiners: "Sequence[RefinerInterface]", pairs: "FilePairs") -> "list[Evaluation]":
    """Score, and print warnings about maps even if there is nothing to score."""
    from tqdm import tqdm

    from c2f_core.experiments.evaluation import evaluate

    try:
        with tqdm(total=len(pairs), desc="Evaluating", unit="pair", disable=None) as bar:
            return evaluate(
                refiners, pairs, progress=lambda finished: bar.update(finished - bar.n) and None
            )
    except DataError:
        pairs.check_class_tables()  # The probable reason, with better advice.
        raise
    finally:
        for warning in pairs.notes():
            print(f"warning: {warning}", file=sys.stderr)


def _all_images(rows: "Sequence[Row]") -> "list[Row]":
    return [{"image": "all", **row} for row in rows]


def _untrained(class_table: "ClassTable") -> "list[RefinerInterface]":
    from c2f_core.refine.untrained import untrained_refiners

    return [refiner(class_table) for refiner in untrained_refiners().values()]


def _open_pairs(root: str, options: Options, refiners: "Sequence[RefinerInterface]") -> "FilePairs":
    from c2f_core.classes.table import ClassTable
    from c2f_core.data.layouts import open_pairs
    from c2f_core.data.splits import read_split

    table = refiners[0].class_table if refiners else None
    if options.class_table is not None:
        table = ClassTable.named(options.class_table)
    pairs = open_pairs(root, table)
    if options.split is None:
        return pairs
    file, found, names = options.split.partition(".json:")
    if not found:
        raise DataError(
            f"The split '{options.split}' does not name a list; give FILE.json:LIST, such as "
            "splits.json:report:test."
        )
    return pairs.subset(read_split(f"{file}.json", names))


if __name__ == "__main__":
    main()
