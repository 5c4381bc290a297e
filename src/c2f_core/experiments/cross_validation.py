"""Cross-validation: train and score configs over folds and seeds.

Nothing of the held-out pairs of a fold influences its run. Validation pairs, which
also guard stage 2, are drawn from the other pairs, as in any run. The last checkpoint
is scored, so that none is selected. Groups of pairs (persons) are held out together.
"""

import itertools
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2f_core.classes.table import ClassTable
from c2f_core.config.files import with_settings
from c2f_core.config.settings import DataConfig, TrainConfig
from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import FilePairs, PairSource
from c2f_core.data.splits import (
    draw_folds,
    grouped,
    groups_of,
    list_of_lists,
    read_split,
    read_splits,
)
from c2f_core.documents import read_document
from c2f_core.errors import ConfigError, DataError
from c2f_core.experiments.comparison import SHARES, RunRecord, wrong_entry
from c2f_core.experiments.evaluation import Evaluation, evaluate
from c2f_core.experiments.plan import write_or_check_plan
from c2f_core.io.atomic import atomic_path
from c2f_core.metrics.scores import mean_scores
from c2f_core.refine.learned import Refiner
from c2f_core.training.data_record import DataRecord, content_changes, hash_of
from c2f_core.training.events import Event, Finished, RunStarted, StepDone
from c2f_core.training.loading import check_pair_names
from c2f_core.training.run_folder import PLACE, RunFolder
from c2f_core.training.trainer import stage_configs, train_or_resume

SPLITS = "splits.json"
RECORDS = "records.json"
ADVICE = "restore the file from a backup, or delete it to train and score all folds again"


@dataclass(frozen=True)
class RunScored:
    """A run was scored on its held-out pairs and recorded.

    Attributes
    ----------
    record : dict
        "config", "method", "fold" and "seed" of the run; "fine", the number of fine
        maps it was trained on; the `SHARES` in percent; "worse", the number of images
        made worse; "seconds" of all training steps since the run was last started or
        resumed; "device".
    """

    record: RunRecord


def cross_validate(
    configs: Mapping[str, TrainConfig],
    folds: int,
    seeds: Sequence[int] = (0,),
    *,
    fold_seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event | RunScored]:
    """Train and score every config on every fold with every seed.

    The run of a fold and a seed is in the folder `fold0-seed0` (and so on) of its
    config's run folder, together with `records.json`, which has one record for each
    finished run, and `splits.json`, which has the folds. Calling the function again
    continues: recorded runs are skipped, and an interrupted run is resumed.

    Parameters
    ----------
    configs : mapping of str to TrainConfig
        Configs by name, with the same data and different run folders. A config of
        method stage2 starts from the same fold and seed of a config of method stage1,
        whose run folder is its `stage2.start`. That config must come earlier in
        `configs` or have been cross-validated before.
    folds : int
        Number of folds. If the split file has lists "folds", they are used, and there
        must be as many. Otherwise folds are drawn from the list `data.train`, or from
        all pairs if there is no split file. Pairs in no fold, as neither they nor
        their group have fine maps, are always used for training.
    seeds : sequence of int
        Seeds of the runs on each fold.
    fold_seed : int
        Seed for drawing the folds.
    should_stop : callable
        Function that is called between steps. When it returns True, a checkpoint is
        saved, and the function returns.

    Yields
    ------
    Event or RunScored
        Events of `train` and then `RunScored`, for each run.

    Raises
    ------
    C2FError
        If configs, data or folds do not fit together, or a run folder has other
        contents.
    """
    splits = _common_splits(configs, folds, fold_seed)
    for config in configs.values():
        _open(config, splits, _data_record(config.data, splits))
    for seed, fold, (name, config) in itertools.product(seeds, range(folds), configs.items()):
        if any((each["fold"], each["seed"]) == (fold, seed) for each in records_of(config)):
            continue
        run = fold_config(config, folds, fold, seed)
        _check_start(run)
        training = yield from _train(run, should_stop)
        if training is None:
            return
        held_out = _source(config.data).subset(splits["folds"][fold])
        record = {"config": name, "method": config.method, "fold": fold, "seed": seed}
        record |= training | held_out_scores(last_checkpoint(run), held_out, config.device)
        add_record(config.run_folder / RECORDS, record)
        yield RunScored(record)
        if should_stop():
            return


def _common_splits(
    configs: Mapping[str, TrainConfig], folds: int, fold_seed: int
) -> dict[str, list[Any]]:
    """Return the folds that all configs have in common."""
    first, *others = configs.values()
    if len({config.run_folder.resolve() for config in configs.values()}) < len(configs):
        raise ConfigError("Two of the configs have the same run_folder; give each a different one.")
    splits = plan_folds(first.data, folds, fold_seed)
    for other in others:
        same_root = other.data.root.resolve() == first.data.root.resolve()
        if not same_root or plan_folds(other.data, folds, fold_seed) != splits:
            raise ConfigError(
                "The configs have different pairs and cannot be compared; give them the same "
                "data.root, data.splits and data.train."
            )
    return splits


def plan_folds(data: DataConfig, count: int, seed: int = 0) -> dict[str, list[Any]]:
    """Read the folds from the split file, or draw them.

    Parameters
    ----------
    data : DataConfig
        Settings that name the dataset, its split file and its lists.
    count : int
        Number of folds.
    seed : int
        Seed for drawing the folds.

    Returns
    -------
    dict
        "folds", a list of names for each fold; "always", the names of pairs that are
        used for training in all folds; "same_person", groups that no fold divides.

    Raises
    ------
    ConfigError
        If the split file has another number of folds.
    DataError
        If the data do not match the split file, two folds share a person, a fold has
        no fine map, or there are too few pairs.
    """
    source = _source(data)
    content = read_splits(data.splits) if data.splits else {}
    groups = groups_of(content, data.splits) if data.splits else []
    with_fine, always = set(source.names_with_fine), []
    if data.splits and "folds" in content:
        listed = list_of_lists(content["folds"], f"'folds' in {data.splits.name}")
        folds = _listed_folds(data.splits, listed, count)
    else:
        names = read_split(data.splits, data.train) if data.splits else source.names
        together = grouped(names, groups).values()
        scored = {name for group in together if with_fine & set(group) for name in group}
        folds = draw_folds([name for name in names if name in scored], count, seed, groups)
        always = [name for name in names if name not in scored]
    source.subset([*itertools.chain(*folds), *always])
    _check_folds(folds, groups, with_fine)
    return {"folds": folds, "always": always, "same_person": groups}


def _listed_folds(splits: Path, listed: list[list[str]], count: int) -> list[list[str]]:
    if count != len(listed):
        raise ConfigError(
            f"{splits} lists {len(listed)} folds, not {count}; choose {len(listed)} folds."
        )
    return listed


def _check_folds(
    folds: Sequence[Sequence[str]], groups: Sequence[Sequence[str]], with_fine: set[str]
) -> None:
    """Check that no person is in two folds, and that each fold has a fine map to score with."""
    for first, second in itertools.combinations((grouped(fold, groups) for fold in folds), 2):
        if shared := first.keys() & second.keys():
            raise DataError(
                f"Two folds have pairs of the same person ('{min(shared)}'); put all pairs of a "
                "person into the same fold."
            )
    for number, fold in enumerate(folds):
        if not with_fine & set(fold):
            raise DataError(f"Fold {number} has no pair with a fine map to score with; add one.")


def _source(data: DataConfig) -> FilePairs:
    return open_pairs(data.root, ClassTable.named(data.class_table))


def _data_record(data: DataConfig, splits: dict[str, list[Any]]) -> DataRecord:
    """Return the record of the pairs of all folds."""
    source = _source(data)
    pairs = source.subset([*itertools.chain(*splits["folds"]), *splits["always"]])
    check_pair_names(pairs.names)
    hashes = {pair.name: hash_of(pair, True) for pair in pairs}
    return DataRecord(
        class_table=source.class_table,
        train=tuple(hashes),
        coarse_only=(),
        validation=(),
        hashes=hashes,
    )


def _open(config: TrainConfig, splits: dict[str, list[Any]], record: DataRecord) -> None:
    """Make the run folder, or check that it was begun with the same config, folds and data."""
    resume = RunFolder(config.run_folder).config.exists()
    with RunFolder.open(config, resume, PLACE) as folder:
        folder.write_config(config)
        difference = (
            f"{folder.root} was cross-validated over other folds; choose another run folder."
        )
        write_or_check_plan(folder.root / SPLITS, splits, difference)
        earlier = folder.read_data_record()
        changes = [] if earlier is None else content_changes(earlier, record)
        if changes:
            raise DataError(
                f"The data of the cross-validation in {folder.root} have changed since it began "
                f"({'; '.join(changes)}), so that its folds cannot be compared; restore them, or "
                "choose another run folder."
            )
        folder.write_data_record(record)


def fold_config(config: TrainConfig, folds: int, fold: int, seed: int) -> TrainConfig:
    """Return the config of the run of one fold and seed.

    Training and validation pairs come from the lists of the other folds in
    `splits.json` in the run folder of `config`.

    Parameters
    ----------
    config : TrainConfig
        Config of the cross-validation.
    folds : int
        Number of folds.
    fold : int
        Number of the held-out fold, from 0.
    seed : int
        Seed of the run.

    Raises
    ------
    ConfigError
        If the seed is invalid.
    """
    name = f"fold{fold}-seed{seed}"
    # Each run starts with another fold, so that a few fine maps are different ones in each run.
    others = [f"folds:{(fold + distance) % folds}" for distance in range(1, folds)]
    changes: dict[str, Any] = {
        "run_folder": config.run_folder / name,
        "seed": seed,
        "data.splits": config.run_folder / SPLITS,
        "data.train": "+".join([*others, "always"]),
        "data.validation": "",
    }
    if config.method == "stage2" and config.stage2.start is not None:
        changes["stage2.start"] = config.stage2.start / name
    return with_settings(config, changes)


def _check_start(run: TrainConfig) -> None:
    """Check that stage 2 starts from a stage 1 that was not trained on the held-out pairs."""
    start = run.stage2.start
    if run.method != "stage2" or start is None:
        return
    theirs, ours = start.parent / SPLITS, run.run_folder.parent / SPLITS
    same_folds = theirs.exists() and read_splits(theirs) == read_splits(ours)
    finished = (
        f"fold{each['fold']}-seed{each['seed']}" for each in read_records(start.parent / RECORDS)
    )
    if not same_folds or start.name not in finished or not RunFolder(start).state.exists():
        raise ConfigError(
            f"There is no finished stage 1 of the same folds in {start}; cross-validate a config "
            "of method stage1 over these folds first, and give its run folder as stage2.start."
        )


@dataclass
class _Training:
    """Facts about the training of one run, collected from its events."""

    fine: int = 0
    seconds: float = 0.0
    device: str = ""
    stopped: bool = False

    def add(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, RunStarted):
            self.fine, self.device = event.train_pairs, event.device
        elif isinstance(event, StepDone):
            self.seconds += event.seconds
        elif isinstance(event, Finished):
            self.stopped = event.stopped


def _train(
    config: TrainConfig, should_stop: Callable[[], bool]
) -> Generator[Event, None, RunRecord | None]:
    """Train one run and return the part of its record on training, None if it was stopped."""
    training = _Training()
    for event in train_or_resume(config, should_stop=should_stop):
        yield event
        training.add(event)
    if training.stopped:
        return None
    seconds = round(training.seconds, 1)
    return {"fine": training.fine, "seconds": seconds, "device": training.device}


def last_checkpoint(config: TrainConfig) -> Path:
    """Return the last checkpoint of a run; for model2, that of stage 2."""
    return RunFolder(stage_configs(config)[-1].run_folder).last


def held_out_scores(checkpoint: Path, pairs: PairSource, device: str = "auto") -> RunRecord:
    """Score a checkpoint on held-out pairs.

    Parameters
    ----------
    checkpoint : Path
        Path of the checkpoint to score.
    pairs : PairSource
        Held-out pairs with fine maps.
    device : str
        Device to compute on.

    Returns
    -------
    dict
        `SHARES` in percent, see `mean_scores`, and "worse", the number of images
        made worse.

    Raises
    ------
    C2FError
        If the checkpoint does not match the pairs, or none of them has a fine map.
    """
    refiner = Refiner.load(checkpoint, device, class_table=pairs.class_table)
    return scores_of_record(evaluate([refiner], pairs)[1], refiner.class_table.names)


def scores_of_record(evaluation: Evaluation, names: Sequence[str]) -> RunRecord:
    """Return the scores of an evaluation in the form of a record; see `held_out_scores`.

    Parameters
    ----------
    evaluation : Evaluation
        Scores of at least one image.
    names : sequence of str
        Class names.
    """
    summary = mean_scores(evaluation.scores, names)
    shares = {key: round(100 * summary[name], 3) for key, name in SHARES.items()}
    return shares | {"worse": int(summary["images made worse"])}


def records_of(config: TrainConfig) -> list[RunRecord]:
    """Return the records of the finished runs of a config.

    Raises
    ------
    DataError
        If the file is damaged, or a score is missing.
    """
    path = config.run_folder / RECORDS
    records = read_records(path)
    for record in records:
        wrong = wrong_entry(record)
        if wrong:
            raise DataError(f"A record in {path} has no valid '{wrong}'; {ADVICE}.")
    return records


def read_records(path: Path) -> list[RunRecord]:
    """Read records from a file; there are none if it does not exist yet.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    if not path.exists():
        return []
    records: list[RunRecord] = read_document(path, "records", DataError, ADVICE)
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise DataError(f"{path} is not a list of records; {ADVICE}.")
    return records


def add_record(path: Path, record: RunRecord) -> None:
    """Append a record to a JSON list with one record per line, atomically.

    Parameters
    ----------
    path : Path
        JSON file, which is created if it does not exist.
    record : dict
        Record of one run; see `RunScored`.

    Raises
    ------
    DataError
        If the file is damaged or cannot be written.
    """
    lines = [json.dumps(each) for each in [*read_records(path), record]]
    with atomic_path(path) as temporary:
        temporary.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
