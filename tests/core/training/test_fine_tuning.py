"""Fine-tuning on corrections: training pairs, held-out pairs, and the model in use afterwards."""

import json
from dataclasses import replace

import numpy as np
import pytest

from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.errors import Cancelled, ClassTableError, DataError
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig, read_metadata
from c2f_core.networks.unet import build_generator
from c2f_core.project import Project
from c2f_core.project.fine_tuning import corrections_of, fine_tune_model
from c2f_core.project.records import Parameters
from c2f_core.training.events import Finished, RunStarted, StepDone, Validated
from c2f_core.training.fine_tuning import (
    Corrections,
    FineTuneResult,
    FineTuningSettings,
    accuracy_of,
    fine_tune,
)

PAIRS = [synthetic_pair(48, seed) for seed in range(6)]
QUICK = FineTuningSettings(steps=4, batch_size=2, crop=32, threads=1)


def save_model(path, class_table=SHAPES, seed=0):
    """Save a small model with random weights."""
    import torch

    torch.manual_seed(seed)
    network = {"widths": (4, 8), "stem": 2}
    settings = {"network": network, "colour_weight": 0.125, "augmentation": {"old": 1}}
    config = RecordedConfig.model_validate(settings)
    generator = build_generator(config.architecture, class_table.number_of_classes)
    save_checkpoint(path, generator, CheckpointMetadata(config=config, class_table=class_table))
    return path


@pytest.fixture
def model(tmp_path):
    return save_model(tmp_path / "start.safetensors")


def corrections(train=2, earlier=0):
    return Corrections(SHAPES, PAIRS[:train], PAIRS[4:5], PAIRS[2 : 2 + earlier])


def add_reviewed(project, pair):
    """Add a pair whose fine map is marked as reviewed."""
    name = project.add_image(pair.image, pair.name).name
    work = project.read(name)
    project.save(
        replace(
            work,
            record=work.record.refined("watershed", 0.9, Parameters()),
            coarse=SHAPES.to_labels(pair.coarse),
            fine=SHAPES.to_labels(pair.fine),
        )
    )
    project.review(name)


@pytest.fixture
def project(tmp_path):
    """A project of three reviewed images, of which the second is held out, and one pending."""
    with Project.create(tmp_path / "project", SHAPES) as made:
        for pair in PAIRS[:3]:
            add_reviewed(made, pair)
        made.add_image(PAIRS[3].image, "pending")
        yield made


def test_fine_tuning_starts_from_the_model_and_is_scored_on_held_out_pairs(model, tmp_path):
    *events, result = fine_tune(model, corrections(), tmp_path / "fine-tuning", QUICK)
    assert sum(isinstance(event, StepDone) for event in events) == 4
    assert sum(isinstance(event, Validated) for event in events) == 4
    started = next(event for event in events if isinstance(event, RunStarted))
    assert (started.train_pairs, started.validation_pairs) == (2, 1)
    assert isinstance(result, FineTuneResult)
    assert result.before == accuracy_of(model, PAIRS[4:5], SHAPES)
    assert result.after == accuracy_of(result.checkpoint, PAIRS[4:5], SHAPES)
    assert result.coarse == pytest.approx(np.mean(PAIRS[4].coarse == PAIRS[4].fine))
    assert result.is_better == (result.after > result.before)
    assert read_metadata(result.checkpoint).config.colour_weight == 0.125


@pytest.mark.parametrize(
    ("corrected", "earlier", "repeated"), [(1, 2, (2, 1)), (2, 1, (1, 2)), (2, 2, (1, 1))]
)
def test_half_of_the_pairs_that_train_are_replayed(model, tmp_path, corrected, earlier, repeated):
    list(fine_tune(model, corrections(corrected, earlier), tmp_path / "fine-tuning", QUICK))
    (splits,) = tmp_path.glob("fine-tuning/*/data/splits.json")
    names = json.loads(splits.read_text())
    shown = [name.split("-")[0] for name in names["train"]]
    assert shown.count("corrected") == corrected * repeated[0]
    assert shown.count("earlier") == earlier * repeated[1]
    assert len(set(names["train"])) == corrected + earlier
    assert [name.split("-")[0] for name in names["validation"]] == ["held"]


def test_stopped_fine_tuning_resumes_where_it_was(model, tmp_path):
    done = []

    def count(event):
        if isinstance(event, StepDone):
            done.append(event.step)
        return event

    events = fine_tune(
        model, corrections(), tmp_path / "fine-tuning", QUICK, should_stop=lambda: len(done) == 2
    )
    *_, last = map(count, events)
    assert isinstance(last, Finished)
    assert last.stopped
    *_, result = map(count, fine_tune(model, corrections(), tmp_path / "fine-tuning", QUICK))
    assert done == [1, 2, 3, 4]
    whole = list(fine_tune(model, corrections(), tmp_path / "whole", QUICK))[-1]
    assert result.after == whole.after


def test_a_killed_write_of_the_data_starts_over(model, tmp_path):
    *_, first = fine_tune(model, corrections(), tmp_path / "fine-tuning", QUICK)
    data = first.checkpoint.parent / "data"
    (data / "splits.json").unlink()
    (data / "images" / "held-out-0-shapes-4.png").unlink()
    *_, again = fine_tune(model, corrections(), tmp_path / "fine-tuning", QUICK)
    assert again == first


def test_classes_are_matched_by_name(tmp_path):
    turned = SHAPES.model_copy(update={"name": "turned", "classes": SHAPES.classes[::-1]})
    model = save_model(tmp_path / "turned.safetensors", turned)
    *_, result = fine_tune(model, corrections(), tmp_path / "fine-tuning", QUICK)
    assert result.coarse == pytest.approx(np.mean(PAIRS[4].coarse == PAIRS[4].fine))
    fasseg = save_model(tmp_path / "fasseg.safetensors", ClassTable.preset("fasseg"))
    with pytest.raises(ClassTableError, match="does not have"):
        list(fine_tune(fasseg, corrections(), tmp_path / "fine-tuning", QUICK))


def test_too_few_reviewed_images_are_refused(model, tmp_path):
    alone = replace(corrections(), held_out=())
    with pytest.raises(DataError, match="two reviewed images"):
        list(fine_tune(model, alone, tmp_path / "fine-tuning", QUICK))


def test_a_project_is_fine_tuned_on_its_reviewed_images(project, model, tmp_path):
    write_pairs(tmp_path / "earlier", PAIRS[:2] + PAIRS[4:], SHAPES)
    found = corrections_of(project, tmp_path / "earlier")
    assert [pair.name for pair in found.train] == ["shapes-0", "shapes-2"]
    assert [pair.name for pair in found.held_out] == ["shapes-1"]
    assert [pair.name for pair in found.earlier] == ["shapes-0", "shapes-4", "shapes-5"]
    np.testing.assert_array_equal(found.train[1].fine, PAIRS[2].fine)
    with pytest.raises(Cancelled):
        corrections_of(project, should_stop=lambda: True)


def outcome(monkeypatch, after):
    """Let fine-tuning end with this accuracy of the new model; the old one has 0.5."""

    def score(path, *_):
        return 0.25 if path is None else after if path.stem == "best" else 0.5

    monkeypatch.setattr("c2f_core.training.fine_tuning.accuracy_of", score)


def test_a_better_model_is_used_and_the_old_one_stays(project, model, monkeypatch):
    project.choose_model(model)
    outcome(monkeypatch, 0.75)
    *_, result = fine_tune_model(project, settings=QUICK)
    assert result.is_better
    scores = "Pixel accuracy on the held-out images (1): 50.00 % before, 75.00 % after"
    assert f"{scores}; the new model is in use." in result.message()
    assert [path.name for path in project.models] == [
        "start.safetensors",
        "fine-tuned-1.safetensors",
    ]
    assert project.model == str(result.checkpoint)
    assert not (project.root / "fine-tuning").exists()
    last = list(project.journal.records())[-1]
    assert (last["event"], last["model"], last["held_out"]) == (
        "fine-tuned",
        result.checkpoint.name,
        1,
    )
    *_, again = fine_tune_model(project, settings=QUICK)
    assert again.checkpoint.name == "fine-tuned-2.safetensors"
    result.checkpoint.unlink()
    *_, third = fine_tune_model(project, settings=QUICK)
    assert third.checkpoint != again.checkpoint
    assert again.checkpoint.exists()


def test_a_run_stopped_in_a_project_of_format_1_is_resumed(project, model):
    project.choose_model(model)
    done = []
    for event in fine_tune_model(project, settings=QUICK, should_stop=lambda: len(done) == 2):
        if isinstance(event, StepDone):
            done.append(event)
    (stopped,) = (project.root / "fine-tuning").glob("run-*")
    earlier = project.root / "lessons" / stopped.name.replace("run", "lesson")
    earlier.parent.mkdir()
    stopped.rename(earlier)
    config = earlier / "config.json"
    config.write_text(config.read_text().replace(str(stopped), str(earlier)))
    started, *_, result = fine_tune_model(project, settings=QUICK)
    assert isinstance(started, RunStarted)
    assert started.first_step == 2
    assert isinstance(result, FineTuneResult)
    assert not (project.root / "lessons").exists()


def test_a_model_that_was_chosen_meanwhile_stays_in_use(project, model, monkeypatch):
    project.choose_model(model)
    outcome(monkeypatch, 0.75)
    events = fine_tune_model(project, settings=QUICK)
    next(events)
    project.choose_model("watershed")
    *_, result = events
    assert project.model == "watershed"
    assert "fine-tuned-1.safetensors is kept, and the model chosen meanwhile" in result.message()
    assert result.checkpoint in project.models


@pytest.mark.parametrize("after", [0.5, 0.4])
def test_a_model_that_is_not_better_is_not_used(project, model, monkeypatch, after):
    project.choose_model(model)
    outcome(monkeypatch, after)
    *_, result = fine_tune_model(project, settings=QUICK)
    assert "the old model stays in use" in result.message()
    assert [path.name for path in project.models] == ["start.safetensors"]
    assert project.model.endswith("start.safetensors")


def test_without_a_model_it_starts_from_random_weights(project, monkeypatch):
    project.choose_model("watershed")
    outcome(monkeypatch, 0.75)
    *_, result = fine_tune_model(project, settings=QUICK)
    assert result.before == result.coarse == 0.25
    assert project.model == str(result.checkpoint)


def test_fine_tuning_improves_an_untrained_model(tmp_path):
    """On synthetic shapes, some steps of fine-tuning improve a model with random weights."""
    model = save_model(tmp_path / "start.safetensors")
    settings = FineTuningSettings(steps=120, crop=32, batch_size=4, learning_rate=1e-2, threads=1)
    pairs = Corrections(SHAPES, PAIRS[:4], PAIRS[4:])
    *_, result = fine_tune(model, pairs, tmp_path / "fine-tuning", settings)
    assert result.after > result.before + 0.1
