"""The search: ranges, trials, pruning, resuming, and `c2f-search`."""

import itertools
import json
import shlex
import sys
import time

import pytest

from c2f_core.cli.search import main
from c2f_core.cli.train import parse
from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import ChangedDataError, ConfigError, DataError, WritingError
from c2f_core.experiments.ranges import Choices, Range, check_ranges, read_ranges
from c2f_core.experiments.search import JOURNAL, UNPRUNED_TRIALS, TrialDone, TrialStarted, search
from c2f_core.io.images import read_image, write_image
from c2f_core.training.events import Finished, StepDone, Validated

optuna = pytest.importorskip("optuna")
RATE = "optimiser.learning_rate"
RATES = {RATE: Range(low=1e-4, high=1e-1, log=True)}


@pytest.fixture(scope="module")
def shapes_folder(write_shapes, tmp_path_factory):
    """Four tiny pairs."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), 4, 32)


@pytest.fixture
def make_config(tiny_config):
    def make(root, run_folder, **changes):
        settings = {
            "data": {
                "root": root,
                "class_table": str(root / "classes.json"),
                "validation_share": 0.3,
            },
            "optimiser": {"warmup_steps": 0, "average_decay": 0.0},
            "steps": 2,
            "validate_every": 1,
        }
        return tiny_config(root, run_folder, **(settings | changes))

    return make


def ends(events):
    return [event for event in events if isinstance(event, TrialDone)]


# Ranges


def test_ranges_are_read_from_dotted_names_and_tables(tmp_path):
    file = tmp_path / "ranges.toml"
    file.write_text(
        '"optimiser.learning_rate" = {low = 1e-4, high = 1e-2, log = true}\n'
        "[stage1]\nloss = {choices = ['minimax', 'least_squares']}\n"
        "[network.widths]\nchoices = [[8, 16], [8, 16, 32]]\n"
    )
    assert read_ranges(file) == {
        RATE: Range(low=1e-4, high=1e-2, log=True),
        "stage1.loss": Choices(choices=["minimax", "least_squares"]),
        "network.widths": Choices(choices=[[8, 16], [8, 16, 32]]),
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"crop": {"low": 9, "high": 3}}', "low must be below high"),
        ('{"crop": {"low": 0, "high": 3, "log": true}}', "low must be above 0"),
        ('{"crop": {"low": 1}}', "'crop' needs low and high, or choices"),
        ('{"crop": 3}', "'crop' needs low and high, or choices"),
        ('{"crop": {"choices": [32]}}', "at least 2 items"),
    ],
)
def test_bad_ranges_are_named(tmp_path, content, sentence):
    (tmp_path / "ranges.json").write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        read_ranges(tmp_path / "ranges.json")


@pytest.mark.parametrize(
    ("ranges", "sentence"),
    [
        ({}, "nothing to search"),
        ({"optimiser.rate": Range(low=1, high=2)}, "no setting 'optimiser.rate'.* learning_rate"),
        ({"crop.side": Range(low=1, high=2)}, "no setting 'crop.side'"),
        ({"optimiser": Range(low=1, high=2)}, "'optimiser' is a table"),
        ({RATE: Range(low=0, high=1)}, "learning_rate is invalid.* greater than 0"),
        ({"steps": Range(low=1, high=2.5)}, "steps is invalid.* integer"),
        ({"network.stem": Range(low=1, high=4)}, "does not accept all numbers of a range"),
        ({"augmentation.scale": Range(low=1, high=4)}, "does not accept all numbers of a range"),
        ({"stage1.loss": Choices(choices=["minimax", "hinge"])}, "stage1.loss is invalid"),
        ({"data.root": Choices(choices=["a", "b"])}, "cannot be searched"),
        ({"seed": Range(low=0, high=9)}, "cannot be searched"),
    ],
)
def test_ranges_are_checked_before_the_first_trial(
    make_config, shapes_folder, tmp_path, ranges, sentence
):
    config = make_config(shapes_folder, tmp_path / "run")
    with pytest.raises(ConfigError, match=sentence):
        next(search(config, ranges, 1))
    assert not (tmp_path / "run").exists()


def test_optional_numbers_take_ranges(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run")
    check_ranges(config, {"optimiser.clip_norm": Range(low=0.1, high=2.0)})


# Trials


def test_trials_stay_in_their_ranges_and_the_best_is_a_config(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run")
    ranges = {
        **RATES,
        "batch_size": Range(low=2, high=4),
        "network.widths": Choices(choices=[[4, 8], [4, 6]]),
    }
    events = list(search(config, ranges, 3, objective="miou"))
    done = ends(events)
    assert [trial.number for trial in done] == [0, 1, 2]
    for trial in done:
        run = TrainConfig.model_validate_json(
            (tmp_path / "run" / f"trial{trial.number:03d}" / "config.json").read_text()
        )
        assert run.optimiser.learning_rate == trial.settings[RATE]
        assert 1e-4 <= run.optimiser.learning_rate <= 1e-1
        assert run.batch_size in (2, 3, 4)
        assert list(run.network.widths) in ([4, 8], [4, 6])
    assert len({trial.settings[RATE] for trial in done}) == 3
    best = max(done, key=lambda trial: trial.score)
    scores = [
        event.scores["mIoU"] for event in events if isinstance(event, Validated) and event.best
    ]
    assert best.score in scores
    written = parse(["--config", str(tmp_path / "run" / "best.json")]).config
    assert written.optimiser.learning_rate == best.settings[RATE]
    assert written.run_folder == tmp_path / "run" / "best"
    assert len(ends(search(config, ranges, 4, objective="miou"))) == 1, "one trial more"
    with pytest.raises(ConfigError, match="other ranges, objective or pruner"):
        next(search(config, ranges, 4))


@pytest.mark.parametrize(("method", "stop_after"), [("model1", 1), ("model2", 1), ("model2", 3)])
def test_an_interrupted_search_continues_as_if_uninterrupted(
    make_config, shapes_folder, tmp_path, method, stop_after
):
    changes = {
        "method": method,
        "data": {
            "root": shapes_folder,
            "class_table": str(shapes_folder / "classes.json"),
            "fine_maps": 2,
        },
        "stage2": {"steps": 2, "coarse_only_batch_size": 2, "guard": None},
        "discriminator": {"widths": (4, 8)},
    }
    whole = make_config(shapes_folder, tmp_path / "whole", **changes)
    parts = make_config(shapes_folder, tmp_path / "parts", **changes)
    expected = ends(search(whole, RATES, 2))
    asked = itertools.count(1)
    found = list(search(parts, RATES, 2, should_stop=lambda: next(asked) == stop_after))
    assert not ends(found)
    events = list(search(parts, RATES, 2))
    assert ends(events) == expected
    assert sum(isinstance(event, TrialStarted) for event in events) == 2


def test_a_trial_that_falls_behind_is_pruned(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", steps=6, validate_every=2)
    ranges = {RATE: Choices(choices=[3e-2, 1e-9])}
    done, steps = [], {}
    for event in search(config, ranges, UNPRUNED_TRIALS + 5):
        if isinstance(event, TrialStarted):
            steps[event.number] = 0
        elif isinstance(event, StepDone):
            steps[max(steps)] += 1
        elif isinstance(event, TrialDone):
            done.append(event)
    pruned = [trial for trial in done if trial.outcome == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.number >= UNPRUNED_TRIALS
        assert trial.settings[RATE] == 1e-9
        assert steps[trial.number] < 6
        assert trial.score is not None
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    assert best["optimiser"]["learning_rate"] == 3e-2


def test_hyperband_runs(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run")
    assert len(ends(search(config, RATES, 2, pruner="hyperband"))) == 2


def test_settings_that_contradict_each_other_fail_that_trial_alone(
    make_config, shapes_folder, tmp_path
):
    """Each is valid with the other's default; batch 1 leaves nothing to normalise at 16 px."""
    config = make_config(
        shapes_folder, tmp_path / "run", steps=1, network={"widths": (4, 6, 8), "stem": 4}
    )
    ranges = {"batch_size": Choices(choices=[1, 2]), "crop": Choices(choices=[16, 32])}
    done = ends(search(config, ranges, 12))
    failed = [trial for trial in done if trial.outcome == "failed"]
    assert failed
    assert all(trial.settings == {"batch_size": 1, "crop": 16} for trial in failed)
    assert "batch_size of 2" in failed[0].reason


def test_a_full_disk_stops_the_search_instead_of_failing_the_trial(
    make_config, shapes_folder, tmp_path, monkeypatch
):
    config = make_config(shapes_folder, tmp_path / "run")
    expected = ends(search(make_config(shapes_folder, tmp_path / "whole"), RATES, 2))
    done = ends(search(config, RATES, 1))

    def write(*_):
        raise WritingError("no space")

    with monkeypatch.context() as patch:
        patch.setattr("c2f_core.training.trainer.save_checkpoint", write)
        with pytest.raises(WritingError):
            list(search(config, RATES, 2))
    assert [*done, *ends(search(config, RATES, 2))] == expected


def test_data_that_cannot_be_used_are_named_before_anything_is_written(make_config, tmp_path):
    (tmp_path / "classes.json").write_text(SHAPES.model_dump_json())
    config = make_config(tmp_path, tmp_path / "run")
    with pytest.raises(DataError, match="has no folder 'images'"):
        next(search(config, RATES, 1))
    assert not (tmp_path / "run").exists()


def test_a_search_that_never_works_says_why(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", device="cuda")
    with pytest.raises(ConfigError, match="device"):
        list(search(config, RATES, 2))


def test_what_a_kill_leaves_is_cleared_away(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", steps=1)
    assert len(ends(search(config, RATES, 1))) == 1
    with (tmp_path / "run" / JOURNAL).open("ab") as journal:
        journal.write(b'{"op_code": 4, "wor')
    (tmp_path / "run" / f"{JOURNAL}.lock").touch()
    assert len(ends(search(config, RATES, 3))) == 2


@pytest.mark.parametrize(
    "line", ["{", "5", "{}", '{"op_code": 4, "worker_id": "x"}', '{"op_code": 99}', "\\xff"]
)
def test_damaged_trials_are_named(make_config, shapes_folder, tmp_path, line):
    config = make_config(shapes_folder, tmp_path / "run")
    list(search(config, RATES, 1))
    journal = config.run_folder / JOURNAL
    journal.write_text(f"{line}\n{journal.read_text()}")
    with pytest.raises(ConfigError, match=r"trials\.journal are damaged"):
        list(search(config, RATES, 2))


def test_a_search_is_not_continued_on_other_data(make_config, write_shapes, tmp_path):
    root = write_shapes(tmp_path / "shapes", 4, 32)
    config = make_config(root, tmp_path / "run")
    list(search(config, RATES, 1))
    image = root / "images" / "0.png"
    write_image(image, 255 - read_image(image))
    with pytest.raises(ChangedDataError, match="pairs changed: 0"):
        list(search(config, RATES, 2))


def test_a_search_under_way_is_left_alone(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run")
    first = search(config, RATES, 1)
    assert isinstance(next(first), TrialStarted)
    with pytest.raises(ConfigError, match="under way"):
        next(search(config, RATES, 1))
    assert [end.outcome for end in ends(first)] == ["complete"]


def test_without_optuna_one_sentence_says_how_to_get_it(
    make_config, shapes_folder, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    config = make_config(shapes_folder, tmp_path / "run")
    with pytest.raises(ConfigError, match="pip install optuna"):
        next(search(config, RATES, 1))
    assert not (tmp_path / "run").exists()


# Command line


def write_files(tmp_path, config):
    (tmp_path / "config.json").write_text(config.model_dump_json())
    (tmp_path / "ranges.toml").write_text(f'"{RATE}" = {{low = 1e-4, high = 1e-2, log = true}}\n')
    return [str(tmp_path / "ranges.toml"), "--config", str(tmp_path / "config.json")]


def test_the_command_searches_and_says_what_to_train(make_config, shapes_folder, tmp_path, capsys):
    files = write_files(tmp_path, make_config(shapes_folder, tmp_path / "my run", steps=1))
    with pytest.raises(SystemExit) as ended:
        main([*files, "--trials", "2"])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert f"trial 1: {RATE} = " in output
    assert "complete with" in output
    words = shlex.split(output.partition("best settings: ")[2])
    assert words == ["c2f-train", "--config", str(tmp_path / "my run" / "best.json")]
    assert (tmp_path / "my run" / "trial001" / "log.csv").exists()


def test_errors_end_with_status_two(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "none.toml"), "--config", str(tmp_path / "none.json")])
    assert ended.value.code == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_killed_search_continues(make_config, shapes_folder, start_command, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", steps=400, validate_every=2)
    files = write_files(tmp_path, config)
    process, _ = start_command("c2f_core.cli.search", *files)
    state = tmp_path / "run" / "trial000" / "state.pt"
    deadline = time.monotonic() + 90
    while not state.exists():
        assert time.monotonic() < deadline
        assert process.is_alive()
        time.sleep(0.05)
    process.kill()
    process.join(60)
    ranges = read_ranges(tmp_path / "ranges.toml")
    stopped = []

    def after_a_step():
        return any(isinstance(event, StepDone) for event in stopped)

    for event in search(config, ranges, 1, should_stop=after_a_step):
        stopped.append(event)
    assert isinstance(stopped[-1], Finished)
    assert stopped[0].number == 0
    assert stopped[-1].step > 2
