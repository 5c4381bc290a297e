"""Run folders of the first version, whose configs and checkpoints had more settings."""

import json

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from c2f_core.cli.train import parse
from c2f_core.errors import ConfigError
from c2f_core.refine.learned import Refiner
from c2f_core.training.catalogue import list_runs
from c2f_core.training.events import Finished, RunStarted
from c2f_core.training.realism import DiscriminatorScorer
from c2f_core.training.run_folder import RunFolder

NETWORK = {"normalisation": "batch", "upsampling": "transposed"}
STAGE1 = {"feature_matching_weight": 0.0, "ramp_steps": 0}
STAGE2 = {"evidence_weight": 0.0, "hidden_share": 0.25, "ramp_steps": 0}


def as_first_version(folder, **stage2):
    """Rewrite the config and the checkpoints of a run as the first version wrote them."""
    run = RunFolder(folder)
    config = json.loads(run.config.read_text())
    for table, removed in (("network", NETWORK), ("stage1", STAGE1), ("stage2", STAGE2 | stage2)):
        config[table] |= removed
    run.config.write_text(json.dumps(config, indent=2) + "\n")
    for path in (run.last, run.best):
        with safe_open(path, framework="pt") as opened:
            metadata = json.loads(opened.metadata()["c2f"])
        metadata |= {
            "format_version": 1,
            "architecture": config["network"] | {"conditional": config["method"] != "plain"},
            "config": config,
            "colour_weight": config["colour_weight"],
        }
        save_file(load_file(path), path, metadata={"c2f": json.dumps(metadata)})


def test_a_run_of_the_first_version_is_listed_and_resumed(make_config, stop_after, run, tmp_path):
    stop_after(make_config(tmp_path / "old"), 3)
    as_first_version(tmp_path / "old")
    (found,) = list_runs(tmp_path)
    assert (found.name, found.state, found.step, found.steps) == ("old", "stopped", 3, 4)
    assert found.scores["pixel accuracy"] > 0
    assert found.best_model is not None
    assert Refiner.load(found.best_model, "cpu").class_table.name == "shapes"
    events = run(parse(["--resume", str(tmp_path / "old")]).config, resume=True)
    assert isinstance(events[0], RunStarted)
    assert events[0].first_step == 3
    assert events[-1] == Finished(4, False, found.best_model)


def test_new_runs_start_from_runs_of_the_first_version(make_config, run, tmp_path):
    run(make_config(tmp_path / "old", method="stage1"))
    as_first_version(tmp_path / "old")
    start = str(tmp_path / "old")
    run(make_config(tmp_path / "new", initial_weights=start, steps=1))
    stage2 = {"start": start, "steps": 1, "coarse_only_batch_size": 2}
    run(make_config(tmp_path / "second", method="stage2", stage2=stage2))
    assert (tmp_path / "second" / "best.safetensors").exists()
    DiscriminatorScorer.load(tmp_path / "old" / "best.safetensors", "cpu")


def test_a_run_with_a_removed_setting_is_refused_by_its_name(make_config, run, tmp_path):
    run(make_config(tmp_path / "old", steps=1))
    as_first_version(tmp_path / "old", evidence_weight=0.5)
    with pytest.raises(ConfigError, match=r"config\.json: There is no setting stage2\.evidence_we"):
        parse(["--resume", str(tmp_path / "old")])
    Refiner.load(tmp_path / "old" / "best.safetensors", "cpu")
