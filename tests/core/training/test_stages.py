"""Both stages of Model 2 in the trainer: turns, balance, resuming, guard."""

import csv

import pytest
import torch

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.config.presets import report_settings
from c2f_core.config.settings import TrainConfig
from c2f_core.data.batches import REPORT_CROP
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import CheckpointError
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.training.events import Finished, Preview, RolledBack, RunStarted, StepDone, Validated
from c2f_core.training.initial import load_stage1
from c2f_core.training.listeners import CsvLog, PanelLog, panel
from c2f_core.training.loading import load_training_data
from c2f_core.training.optimisation import make_fabric
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.stage1 import Stage1Learner
from c2f_core.training.stage2 import Stage2Learner, make_coarse_only_batches
from c2f_core.training.trainer import balance_note, stage_configs, train

SIDE = 64


@pytest.fixture(scope="module")
def shapes_folder(write_shapes, tmp_path_factory):
    """Six pairs with fine maps and four without."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), 10, SIDE, coarse_only=range(6, 10))


@pytest.fixture
def make_config(tiny_config):
    def make(root, run_folder, **changes):
        settings = {
            "data": {
                "root": root,
                "class_table": str(root / "classes.json"),
                "validation_share": 0.3,
            },
            "method": "model2",
            "network": {"widths": (8, 16)},
            "discriminator": {"widths": (8, 16)},
            "batch_size": 4,
            "stage2": {"steps": 4, "coarse_only_batch_size": 4, "guard": None},
        }
        return tiny_config(root, run_folder, **(settings | changes))

    return make


@pytest.fixture
def settled_stage1(make_config):
    """Train a stage 1 until it has learned something; return its config."""

    def settle(root, run_folder, **optimiser):
        config = make_config(
            root,
            run_folder,
            method="stage1",
            steps=60,
            validate_every=60,
            optimiser={"learning_rate": 1e-2, "average_decay": 0.9, **optimiser},
        )
        list(train(config))
        return config

    return settle


def test_each_step_changes_only_the_network_that_it_trains(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", method="stage1")
    learner = Stage1Learner(config, make_fabric(config), load_training_data(config))
    batch = learner._fine_batch(0)
    logits = learner._logits(batch.images, batch.coarse)

    def weights(trained):
        return [parameter.detach().clone() for parameter in trained.module.parameters()]

    generator, discriminator = weights(learner.generator), weights(learner.discriminator)
    learner._train_discriminator(batch, logits)
    assert all(map(torch.equal, generator, weights(learner.generator)))
    assert not all(map(torch.equal, discriminator, weights(learner.discriminator)))
    discriminator = weights(learner.discriminator)
    loss, values = learner._stage1_loss(batch, logits)
    assert values["adversarial loss"] > 0
    learner._optimise(loss)
    assert all(map(torch.equal, discriminator, weights(learner.discriminator)))
    assert not all(map(torch.equal, generator, weights(learner.generator)))
    gradients = [parameter.requires_grad for parameter in learner.discriminator.module.parameters()]
    assert all(gradients), "the freeze has to end"


def test_the_reports_settings_train_both_stages(write_shapes, make_config, tmp_path):
    root = write_shapes(tmp_path / "data", 3, REPORT_CROP, coarse_only=[2])
    preset = report_settings() | {"network": {"widths": (4, 8), "stem": 1}}
    preset["stage2"] = preset["stage2"] | {"steps": 2, "coarse_only_batch_size": 2}
    config = make_config(root, tmp_path / "run", steps=2, batch_size=2, **preset)
    stage2 = stage_configs(config)[1]
    batch = make_coarse_only_batches(stage2, load_training_data(stage2))(0)
    assert batch.images.shape[-1] == REPORT_CROP
    assert (batch.fine == UNLABELLED_ID).all()
    losses = [event.values for event in train(config) if isinstance(event, StepDone)]
    assert len(losses) == 4
    assert set(losses[-1]) == {"adversarial loss"}


def test_both_stages_in_a_row_and_their_files(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run")
    with CsvLog() as log, PanelLog() as panels:
        events = []
        for event in train(config):
            log(event)
            panels(event)
            events.append(event)
    starts = [event for event in events if isinstance(event, RunStarted)]
    assert [start.method for start in starts] == ["stage1", "stage2"]
    for start, fate in zip(starts, ("left for stage 2", "used for training"), strict=True):
        assert f"Pairs without fine maps (4) are {fate}." in start.messages
    assert sum(isinstance(event, Finished) for event in events) == 2
    for stage in ("stage1", "stage2"):
        folder = tmp_path / "run" / stage
        load_checkpoint(folder / "best.safetensors")
        assert len(list((folder / "panels").glob("*.png"))) >= 2
        with (folder / "log.csv").open() as opened:
            names = {row["name"] for row in csv.DictReader(opened)}
        assert {
            "discriminator loss",
            "discriminator accuracy",
            "adversarial loss",
            "validation discriminator accuracy",
            "note",
        } <= names
    assert {
        "pseudo-label rate",
        "pseudo-label share disk",
        "coarse share disk",
        "discriminator score",
    } <= names


def test_the_panel_shows_five_pictures(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", method="stage1", steps=1)
    previews = [event for event in train(config) if isinstance(event, Preview)]
    assert panel(previews[0]).shape == (SIDE, 5 * SIDE + 4 * 4, 3)


@pytest.mark.parametrize("stop_after", [2, 3, 6, 7])
def test_resuming_in_either_stage_equals_an_uninterrupted_run(
    make_config, shapes_folder, tmp_path, stop_after
):
    list(train(make_config(shapes_folder, tmp_path / "whole")))
    config = make_config(shapes_folder, tmp_path / "parts")
    done = []
    for event in train(config, should_stop=lambda: len(done) >= stop_after):
        if isinstance(event, StepDone):
            done.append(event)
    assert len(done) < 8
    list(train(config, resume=True))
    for stage in ("stage1", "stage2"):
        first, _ = load_checkpoint(tmp_path / "whole" / stage / "last.safetensors")
        second, _ = load_checkpoint(tmp_path / "parts" / stage / "last.safetensors")
        for key, tensor in first.state_dict().items():
            assert torch.equal(tensor, second.state_dict()[key]), (stage, key)


def test_without_unsupervised_weights_nothing_changes(make_config, shapes_folder, tmp_path):
    """The report's stage 2 may have failed because of a defect: shifting statistics or labels."""
    list(train(make_config(shapes_folder, tmp_path / "first", method="stage1")))
    config = make_config(
        shapes_folder,
        tmp_path / "second",
        method="stage2",
        stage2={
            "start": tmp_path / "first",
            "steps": 3,
            "replay": False,
            "adversarial_weight": 0,
            "pseudo_label_weight": 0,
        },
    )
    scores = [event.scores for event in train(config) if isinstance(event, Validated)]
    assert scores[0] == scores[-1]
    start, _ = load_checkpoint(tmp_path / "first" / "last.safetensors")
    end, _ = load_checkpoint(tmp_path / "second" / "last.safetensors")
    for key, tensor in start.state_dict().items():
        assert torch.equal(tensor, end.state_dict()[key]), key


@pytest.mark.parametrize("recipe", ["default", "report"])
def test_the_statistics_of_coarse_only_images_do_no_harm(
    settled_stage1, shapes_folder, tmp_path, recipe
):
    """At a vanishing rate nothing but the statistics of the normalisation changes."""
    first = settled_stage1(shapes_folder, tmp_path / "first", weight_decay=0)
    second = first.model_copy(update={"method": "stage2", "run_folder": tmp_path / "second"})
    stage2 = {"start": tmp_path / "first", "recipe": recipe, "steps": 40, "guard": None}
    settings = second.model_dump() | {"stage2": stage2 | {"learning_rate": 1e-12}}
    events = train(TrainConfig.model_validate(settings))
    before, after = (event.scores for event in events if isinstance(event, Validated))
    assert after["pixel accuracy"] != before["pixel accuracy"], "the statistics have to move"
    assert after["pixel accuracy"] > before["pixel accuracy"] - 0.01


def test_the_loss_is_the_weighted_sum_of_its_parts(make_config, shapes_folder, tmp_path):
    def step(method, **changes):
        config = make_config(shapes_folder, tmp_path / "run", method=method, **changes)
        kind = Stage1Learner if method == "stage1" else Stage2Learner
        learner = kind(config, make_fabric(config), load_training_data(config))
        if method == "stage2":
            learner.start_from(RunFolder(tmp_path / "first").read_state())
        result = learner.step(0)
        return result.loss, result.values

    stage1 = {"adversarial_weight": 0.5}
    loss, values = step("stage1", stage1=stage1)
    replay = values["pixel loss"] + 0.5 * values["adversarial loss"]
    assert loss == pytest.approx(replay, rel=1e-5)

    list(train(make_config(shapes_folder, tmp_path / "first", method="stage1")))
    start = {"start": tmp_path / "first", "guard": None}
    alone = {"pseudo_label_weight": 0.0, "adversarial_weight": 0.0}
    loss, values = step("stage2", stage1=stage1, stage2=start | alone)
    replay = values["pixel loss"] + 0.5 * values["adversarial loss"]
    assert loss == pytest.approx(replay, rel=1e-5)

    weights = {"pseudo_label_weight": 0.75, "adversarial_weight": 0.25}
    loss, values = step("stage2", stage1=stage1, stage2=start | weights)
    replay = values["pixel loss"] + 0.5 * values["adversarial loss"]
    coarse_only = 0.75 * values["pseudo-label loss"]
    coarse_only += 0.25 * values["coarse-only adversarial loss"]
    assert loss == pytest.approx(replay + coarse_only, rel=1e-5)


def test_holes_in_a_coarse_map_do_not_reveal_a_fake(make_config, shapes_folder, tmp_path):
    """Unlabelled pixels of a coarse map do not mark it as fake."""

    def turn(**stage1):
        config = make_config(shapes_folder, tmp_path / "run", method="stage1", stage1=stage1)
        learner = Stage1Learner(config, make_fabric(config), load_training_data(config))
        batch = learner._fine_batch(0)
        batch.coarse.zero_()
        return learner._train_discriminator(batch, learner._logits(batch.images, batch.coarse))

    assert turn() == pytest.approx(turn(coarse_as_fake=False), rel=1e-5)


def test_with_more_fine_maps_coarse_only_pairs_count_less(make_config, shapes_folder, tmp_path):
    list(train(make_config(shapes_folder, tmp_path / "first", method="stage1")))

    def first_step(few):
        stage2 = {"start": tmp_path / "first", "few_fine_maps": few, "guard": None}
        config = make_config(shapes_folder, tmp_path / "run", method="stage2", stage2=stage2)
        data = load_training_data(config)
        assert len(data.train) == 4
        learner = Stage2Learner(config, make_fabric(config), data)
        learner.start_from(RunFolder(tmp_path / "first").read_state())
        return learner.step(0), config.stage2

    (all_of_it, config), (half, _), (more, _) = map(first_step, (4, 2, 9))
    weights = {
        "pseudo-label loss": config.pseudo_label_weight,
        "coarse-only adversarial loss": config.adversarial_weight,
    }
    assert half.values == all_of_it.values
    coarse_only = sum(weight * half.values[name] for name, weight in weights.items())
    assert all_of_it.loss - half.loss == pytest.approx(coarse_only / 2, rel=1e-3)
    assert more.loss == all_of_it.loss


def test_the_guard_rolls_a_broken_recipe_back(settled_stage1, shapes_folder, tmp_path):
    first = settled_stage1(shapes_folder, tmp_path / "first")
    broken = first.model_copy(update={"method": "stage2", "run_folder": tmp_path / "second"})
    settings = broken.model_dump() | {
        "validate_every": 5,
        "stage2": {
            "start": tmp_path / "first",
            "recipe": "report",
            "steps": 100,
            "learning_rate": 0.1,
            "guard": 0.01,
        },
    }
    events = list(train(TrainConfig.model_validate(settings)))
    rolled_back = next(event for event in events if isinstance(event, RolledBack))
    assert rolled_back.fallen < rolled_back.start - 0.01
    assert rolled_back.step < 100
    assert isinstance(events[-1], Finished)
    start, _ = load_checkpoint(tmp_path / "first" / "last.safetensors")
    state = RunFolder(
        tmp_path / "second"
    ).read_state()  # A run continued from here starts there, too.
    for key, tensor in start.state_dict().items():
        assert torch.equal(tensor, state["generator"]["network"][key]), key
    for name in ("best", "last"):
        kept, _ = load_checkpoint(tmp_path / "second" / f"{name}.safetensors")
        for key, tensor in start.state_dict().items():
            assert torch.equal(tensor, kept.state_dict()[key]), (name, key)


@pytest.mark.parametrize(
    ("accuracy", "word"), [(0.5, "guessing"), (0.8, "balanced"), (1.0, "wins")]
)
def test_the_log_describes_the_balance_of_the_networks(accuracy, word):
    assert word in balance_note(accuracy)


def test_without_a_moving_average_the_network_makes_its_own_pseudo_labels(
    make_config, shapes_folder, tmp_path
):
    optimiser = {"average_decay": 0.0}
    first = make_config(shapes_folder, tmp_path / "first", method="stage1", optimiser=optimiser)
    list(train(first))
    state = RunFolder(tmp_path / "first").read_state()
    averaged = {name.removeprefix("module."): each for name, each in state["average"].items()}
    for name, tensor in state["generator"]["network"].items():
        assert torch.equal(tensor, averaged[name]), name


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"method": "model1"}, "trains no discriminator"),
        ({"network": {"widths": (8, 24)}}, r"network \(widths"),
        ({"discriminator": {"kind": "image"}}, r"network \(kind image"),
        ({"stage1": {"loss": "minimax"}}, "adversarial loss minimax"),
    ],
)
def test_stage_2_refuses_a_start_that_does_not_fit(
    make_config, shapes_folder, tmp_path, changes, match
):
    list(train(make_config(shapes_folder, tmp_path / "first", **{"method": "stage1", **changes})))
    stage2 = {"steps": 4, "start": tmp_path / "first"}
    config = make_config(shapes_folder, tmp_path / "run", method="stage2", stage2=stage2)
    with pytest.raises(CheckpointError, match=match):
        list(train(config))


def test_stage_2_starts_from_a_run_of_both_stages_with_its_own_rates(
    make_config, shapes_folder, tmp_path
):
    list(train(make_config(shapes_folder, tmp_path / "both")))
    stage1, stage2 = {"discriminator_learning_rate": 5e-5}, {"start": tmp_path / "both"}
    changes = {"method": "stage2", "stage1": stage1, "stage2": stage2}
    config = make_config(shapes_folder, tmp_path / "run", **changes)
    data = load_training_data(config)
    state = load_stage1(tmp_path / "both", config, data.class_table)
    learner = Stage2Learner(config, make_fabric(config), data)
    learner.start_from(state)
    trained, _ = load_checkpoint(tmp_path / "both" / "stage2" / "last.safetensors")
    for key, tensor in learner.validated_generator.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[key]), key
    (group,) = learner.state_dict()["discriminator"]["optimiser"]["param_groups"]
    assert group["lr"] == 5e-5


def test_stage_2_refuses_a_start_with_other_classes(make_config, shapes_folder, tmp_path):
    list(train(make_config(shapes_folder, tmp_path / "first", method="stage1")))
    renamed = SHAPES.model_copy(update={"classes": SHAPES.classes[::-1]})
    table = tmp_path / "renamed.json"
    table.write_text(renamed.model_dump_json())
    data = {"root": shapes_folder, "class_table": str(table), "validation_share": 0.3}
    stage2 = {"steps": 4, "start": tmp_path / "first"}
    changes = {"method": "stage2", "stage2": stage2, "data": data}
    with pytest.raises(CheckpointError, match="has the classes"):
        list(train(make_config(shapes_folder, tmp_path / "run", **changes)))


def test_stage_2_names_a_start_that_is_not_a_finished_run(make_config, shapes_folder, tmp_path):
    stage2 = {"steps": 4, "start": tmp_path / "nowhere"}
    config = make_config(shapes_folder, tmp_path / "run", method="stage2", stage2=stage2)
    with pytest.raises(CheckpointError, match="nowhere contains no run"):
        list(train(config))
    first = make_config(shapes_folder, tmp_path / "nowhere", method="stage1")
    list(train(first))
    (tmp_path / "nowhere" / "state.pt").unlink()
    with pytest.raises(CheckpointError, match="stopped before its first checkpoint"):
        list(train(config.model_copy(update={"run_folder": tmp_path / "other"})))
