"""Training: learning, resuming, stopping, checkpoints."""

import csv
import json
import os
import shlex
import shutil
import signal
import time
from codecs import BOM_UTF8

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from c2f_core.cli.console import StopOnInterrupt
from c2f_core.cli.train import main, parse
from c2f_core.config.settings import NetworkConfig, TrainConfig
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import CheckpointError, ConfigError
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.unet import build_generator
from c2f_core.refine.learned import Refiner
from c2f_core.training.events import Finished, Preview, RunStarted, StepDone, Validated
from c2f_core.training.optimisation import NetworkWithOptimiser, learning_rate, make_fabric
from c2f_core.training.trainer import train


@pytest.fixture(scope="module")
def shapes_folder(write_shapes, tmp_path_factory):
    """Six pairs with fine maps."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), 6, 64)


@pytest.fixture
def make_config(tiny_config):
    base = {"network": {"widths": (8, 16)}, "batch_size": 4, "steps": 6, "validate_every": 3}
    return lambda root, run_folder, **changes: tiny_config(root, run_folder, **(base | changes))


def train_steps(config, steps):
    """Train, and stop after so many steps."""
    done = []
    for event in train(config, should_stop=lambda: len(done) >= steps):
        if isinstance(event, StepDone):
            done.append(event)


# Colours are random in each image, so that the plain U-Net has shapes alone to go by.
@pytest.mark.parametrize(
    ("method", "share_left", "least_accuracy"), [("model1", 0.5, 0.65), ("plain", 0.8, 0.1)]
)
def test_a_network_learns_on_tiny_data(
    make_config, shapes_folder, tmp_path, method, share_left, least_accuracy
):
    config = make_config(
        shapes_folder,
        tmp_path / "run",
        method=method,
        steps=120,
        validate_every=60,
        augmentation={
            "scale": (1, 1),
            "rotation": 0,
            "colour": 0,
            "blur_and_noise": 0,
            "coarse_distortion": 0,
        },
        optimiser={"learning_rate": 1e-2, "average_decay": 0.9},
    )
    events = list(train(config))
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert np.mean(losses[-10:]) < share_left * np.mean(losses[:10])
    scores = [event.scores for event in events if isinstance(event, Validated)][-1]
    assert scores["pixel accuracy"] > least_accuracy
    _, metadata = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert metadata.class_table == SHAPES
    assert metadata.config.architecture.conditional == (method == "model1")
    assert metadata.config.method == method


@pytest.mark.parametrize("stop_after", [2, 3, 4])
def test_resuming_equals_an_uninterrupted_run_bit_for_bit(
    make_config, shapes_folder, tmp_path, stop_after
):
    whole = make_config(shapes_folder, tmp_path / "whole")
    list(train(whole))
    parts = make_config(shapes_folder, tmp_path / "parts")
    done = []
    events = train(parts, should_stop=lambda: len(done) >= stop_after)
    finished = [done.append(event) or event for event in events if isinstance(event, StepDone)]
    assert len(finished) in (stop_after, stop_after + 1)
    resumed = list(train(parts, resume=True))
    assert isinstance(resumed[0], RunStarted)
    assert resumed[0].first_step == len(finished)
    for name in ("last.safetensors", "best.safetensors"):
        first, _ = load_checkpoint(tmp_path / "whole" / name)
        second, _ = load_checkpoint(tmp_path / "parts" / name)
        for key, tensor in first.state_dict().items():
            assert torch.equal(tensor, second.state_dict()[key]), (name, key)


def test_events_and_files_of_a_run(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run")
    events = list(train(config))
    assert isinstance(events[0], RunStarted)
    assert set(events[0].class_weights) == set(SHAPES.names)
    assert events[0].reference["pixel accuracy"] > 0.7
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(1, 7))
    assert [event.step for event in events if isinstance(event, Validated)] == [3, 6]
    assert events[-1] == Finished(6, False, tmp_path / "run" / "best.safetensors")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert TrainConfig.model_validate(stored) == config


def test_the_refiner_of_a_checkpoint_sees_what_validation_saw(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", colour_weight=0.5, steps=3)
    shown = [event for event in train(config) if isinstance(event, Preview)][-1]
    refiner = Refiner.load(tmp_path / "run" / "last.safetensors", "cpu")
    assert refiner.metadata.config.colour_weight == 0.5
    result = refiner.refine(shown.image, SHAPES.to_labels(shown.coarse))
    different = SHAPES.to_class_ids(result.labels) != shown.prediction
    # Convolutions that hold the normalisation round otherwise.
    assert different.mean() < 0.01


def test_a_run_is_never_overwritten(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", steps=1)
    list(train(config))
    with pytest.raises(ConfigError, match="already holds a run"):
        next(train(config))


def test_resuming_refuses_other_settings_and_empty_folders(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", steps=2)
    with pytest.raises(ConfigError, match="contains no run"):
        next(train(config, resume=True))
    list(train(config))
    with pytest.raises(ConfigError, match="another seed"):
        next(train(config.model_copy(update={"seed": 7}), resume=True))
    (tmp_path / "run" / "state.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="is damaged"):
        next(train(config, resume=True))


def test_clipping_bounds_the_step(make_config, shapes_folder, tmp_path):
    """Adam ignores the gradient's scale, so the clipped gradient itself is looked at."""
    torch.manual_seed(0)
    config = make_config(shapes_folder, tmp_path / "run", precision="float32")
    generator = build_generator(config.architecture, SHAPES.number_of_classes)
    optimiser = torch.optim.SGD(generator.parameters(), lr=0.0)
    player = NetworkWithOptimiser(make_fabric(config), generator, optimiser, clip_norm=0.5)
    logits = player.network(torch.ones(1, 3 + SHAPES.number_of_classes, 32, 32))
    assert player.optimise(1000 * logits.square().sum()) > 0.5
    gradients = [parameter.grad.flatten() for parameter in generator.parameters()]
    assert torch.cat(gradients).norm().item() == pytest.approx(0.5, rel=1e-3)


def test_the_schedule_warms_up_and_decays_to_zero(make_config, shapes_folder, tmp_path):
    optimiser = {"warmup_steps": 4, "learning_rate": 1.0}
    config = make_config(shapes_folder, tmp_path, steps=104, optimiser=optimiser)
    rates = [learning_rate(step, config) for step in range(104)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == pytest.approx(1.0)
    assert rates[54] == pytest.approx(0.5)
    assert rates[-1] < 0.001


def test_a_constant_rate_stays(make_config, shapes_folder, tmp_path):
    optimiser = {"warmup_steps": 0, "learning_rate": 2e-4, "schedule": "constant"}
    config = make_config(shapes_folder, tmp_path, steps=10, optimiser=optimiser)
    assert {learning_rate(step, config) for step in range(10)} == {2e-4}


def test_a_missing_device_gives_one_sentence(make_config, shapes_folder, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    config = make_config(shapes_folder, tmp_path / "run", device="cuda")
    with pytest.raises(ConfigError, match="choose device auto or cpu"):
        next(train(config))


# Checkpoints


@pytest.fixture
def checkpoint(tmp_path):
    config = RecordedConfig(network=NetworkConfig(widths=(4, 8)))
    path = tmp_path / "model.safetensors"
    torch.manual_seed(1)
    generator = build_generator(config.architecture, SHAPES.number_of_classes).eval()
    save_checkpoint(path, generator, CheckpointMetadata(config=config, class_table=SHAPES))
    return path, generator


@pytest.mark.parametrize("half", [False, True])
def test_checkpoints_round_trip(checkpoint, tmp_path, half):
    path, generator = checkpoint
    _, metadata = load_checkpoint(path)
    save_checkpoint(tmp_path / "second.safetensors", generator, metadata, half=half)
    loaded, again = load_checkpoint(tmp_path / "second.safetensors")
    assert again == metadata
    inputs = torch.randn(1, 7, 16, 16)
    tolerance = 0.02 if half else 0.0
    with torch.inference_mode():
        torch.testing.assert_close(
            loaded(inputs), generator(inputs), rtol=tolerance, atol=tolerance
        )


def test_damaged_and_foreign_checkpoints_are_refused(checkpoint, tmp_path):
    path, generator = checkpoint
    tensors = generator.state_dict()
    bad = tmp_path / "bad.safetensors"
    _, metadata = load_checkpoint(path)
    text = metadata.model_dump_json()

    def refuse(match):
        with pytest.raises(CheckpointError, match=match):
            load_checkpoint(bad)

    refuse("not a readable checkpoint")
    bad.write_bytes(path.read_bytes()[:-100])
    refuse("not a readable checkpoint")
    bad.write_bytes(b"\x80\x04cos\nsystem\n")
    refuse("not a readable checkpoint")
    save_file(tensors, bad)
    refuse("another program")
    save_file(tensors, bad, metadata={"c2f": "{"})
    refuse("damaged metadata")
    save_file(
        tensors, bad, metadata={"c2f": text.replace('"format_version":2', '"format_version":9')}
    )
    refuse("format 9")
    save_file(tensors, bad, metadata={"c2f": text.replace('"stem":4', '"stem":3')})
    refuse("config.network.stem")
    save_file(tensors, bad, metadata={"c2f": text.replace('"widths":[4,8]', '"widths":[4,9]')})
    refuse("do not fit")
    save_file(
        tensors, bad, metadata={"c2f": text.replace('"widths":[4,8]', '"widths":[65536,65536]')}
    )
    refuse("absurdly large")
    broken = {name: tensor.clone() for name, tensor in tensors.items()}
    broken["head.bias"][0] = float("nan")
    save_file(broken, bad, metadata={"c2f": text})
    refuse("not finite")
    strange = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tensors.items()}
    save_file(strange, bad, metadata={"c2f": text})
    refuse("another type")
    for widths in (f"[{10**30}]", str([1] * 1000), "[0]"):
        hostile = text.replace('"widths":[4,8]', f'"widths":{widths}')
        save_file(tensors, bad, metadata={"c2f": hostile})
        refuse("config.network.widths")


# Command line


@pytest.mark.parametrize("name", ["config.toml", "CONFIG.TOML"])
def test_flags_file_and_preset_make_one_config(tmp_path, name):
    flags = ["--data.root", "d", "--run-folder", "r", "--preset", "report", "--check"]
    command = parse(flags)
    config = command.config
    assert (config.preprocessing, config.optimiser.learning_rate) == ("report", 2e-4)
    assert (command.resume, command.check) == (False, True)
    file = tmp_path / name
    settings = b'steps = 7\nrun_folder = "r"\n[data]\nroot = "d"\n[network]\nwidths = [4, 8]\n'
    file.write_bytes(BOM_UTF8 + settings)  # As Windows' Notepad saves it.
    config = parse(["--config", str(file), "--seed", "3"]).config
    assert (config.steps, config.seed, config.network.widths) == (7, 3, (4, 8))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "cannot be read"),
        ('{"stepz": 1}', "stepz"),
        ('{"data": 3}', "setting data is invalid: it must be a table"),
        ("{}", "setting data.root is missing"),
        ('{"data": {"root": "d"}}', "setting run_folder is missing"),
        ('{"steps": "many"}', "setting steps is invalid"),
        ("[]", "contains no settings"),
    ],
)
def test_bad_config_files_give_one_sentence(tmp_path, content, match):
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=match):
        parse(["--config", str(file)])


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--steps", "0"], "The setting steps is invalid: "),
        (["--optimiser.learning-rate", "0"], "The setting optimiser.learning_rate is invalid: "),
        (["--crop", "16", "--batch-size", "1"], "use a batch_size of 2"),
    ],
)
def test_settings_that_flags_cannot_have_give_one_sentence(tmp_path, capsys, flags, sentence):
    with pytest.raises(SystemExit) as caught:
        main(["--data.root", str(tmp_path), "--run-folder", str(tmp_path / "run"), *flags])
    assert caught.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: The setting")
    assert sentence in error
    assert "pydantic" not in error


def test_a_folder_without_a_run_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="contains no run to resume"):
            parse(["--resume", str(folder)])


def test_errors_end_with_status_two_and_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--data.root", str(tmp_path / "none"), "--run-folder", str(tmp_path / "run")])
    assert caught.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: The data folder")


def test_a_moved_run_goes_on_where_it_is_now(make_config, shapes_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(shapes_folder.parent)
    data = {"root": shapes_folder.name, "class_table": f"{shapes_folder.name}/classes.json"}
    config = make_config(shapes_folder, tmp_path / "run", data=data)
    train_steps(config, 2)
    (tmp_path / "run").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["--resume", "moved"])
    assert caught.value.code == 0
    assert (tmp_path / "moved" / "best.safetensors").exists()
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_stopped_early_says_how_to_resume(
    make_config, shapes_folder, tmp_path, capsys, monkeypatch
):
    run = tmp_path / "my run"
    train_steps(make_config(shapes_folder, run), 2)
    monkeypatch.setattr(StopOnInterrupt, "__call__", lambda self: True)
    with pytest.raises(SystemExit):
        main(["--resume", str(run)])
    told = capsys.readouterr().out.partition("Resume with: ")[2]
    assert shlex.split(told) == ["c2f-train", "--resume", str(run)]


def test_a_fine_map_of_one_class_has_no_boundary_to_score(make_config, shapes_folder, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(shapes_folder, root)
    plain = np.full((64, 64), SHAPES.classes[0].index, np.uint8)
    for seed in range(6):
        Image.fromarray(plain).save(root / "fine" / f"{seed}.png")
    list(train(make_config(root, tmp_path / "run")))
    _, metadata = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert set(metadata.scores) == {"pixel accuracy", "mIoU", "calibration error"}


def test_ctrl_c_saves_and_says_how_to_resume(make_config, shapes_folder, start_command, tmp_path):
    run = tmp_path / "run"
    config = make_config(shapes_folder, run, steps=5000, validate_every=1000)
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    process, output = start_command("c2f_core.cli.train", "--config", file)
    log = run / "log.csv"
    deadline = time.monotonic() + 90
    while not (log.exists() and log.stat().st_size > 200):
        assert time.monotonic() < deadline
        assert process.is_alive()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 0
    assert f"c2f-train --resume {run}" in output.read_text()
    with log.open(newline="") as opened:
        steps = [int(row["step"]) for row in csv.DictReader(opened)]
    state = torch.load(run / "state.pt", weights_only=True)
    assert state["step"] == max(steps)
    assert list((run / "tensorboard").iterdir())
