"""Models as ONNX and bioimage.io packages: the same logits, valid for other programs, and back."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from bioimageio.spec import load_description

from c2f_core import extras
from c2f_core.classes.table import ClassTable
from c2f_core.cli.export import main
from c2f_core.config.settings import NetworkConfig
from c2f_core.data.synthetic import synthetic_pair
from c2f_core.errors import CheckpointError, ConfigError, DataError, MissingPackageError
from c2f_core.models.bundled import bundled_file
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig, read_metadata
from c2f_core.models.sharing import share_model
from c2f_core.networks.unet import build_generator
from c2f_core.refine.fitting import fitting_refiner, misfit
from c2f_core.refine.learned import Refiner
from c2f_core.refine.run import open_refiner

TABLE = ClassTable.preset("fasseg")
PAIR = synthetic_pair(150, 0)
COARSE = TABLE.to_labels(PAIR.coarse)
TOLERANCE = 1e-4


def save_model(path: Path, **config: object) -> Path:
    """Write a tiny model with normalisations that have seen some images."""
    recorded = RecordedConfig(
        **{"network": NetworkConfig(stem=2, widths=(8, 12, 16)), "colour_weight": 0.0, **config}
    )
    metadata = CheckpointMetadata(config=recorded, class_table=TABLE, temperature=1.5)
    torch.manual_seed(0)
    generator = build_generator(recorded.architecture, TABLE.number_of_classes)
    for _ in range(3):
        generator(torch.randn(2, generator.in_channels, 64, 64))
    save_checkpoint(path, generator, metadata)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(scope="module", params=["tiny.onnx", "tiny.zip", "tiny/rdf.yaml"])
def shared(model: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("shared")
    if request.param != "tiny/rdf.yaml":
        return share_model(model, folder / request.param)
    package = share_model(model, folder / "tiny.zip")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder / "tiny")
    return folder / request.param


def logits_of(refiner: Refiner) -> torch.Tensor:
    with torch.inference_mode():
        return refiner._logits(PAIR.image, TABLE.to_class_ids(COARSE))


def assert_same_logits(shared: Path, model: Path) -> None:
    both = [logits_of(Refiner.load(path, "cpu")) for path in (shared, model)]
    torch.testing.assert_close(*both, rtol=0, atol=TOLERANCE)


def test_a_shared_model_refines_as_before(shared: Path, model: Path) -> None:
    refiner, original = Refiner.load(shared, "cpu"), Refiner.load(model, "cpu")
    assert (refiner.name, refiner.source) == ("tiny", shared)
    assert refiner.class_table == TABLE
    assert refiner.metadata.temperature == 1.5
    assert_same_logits(shared, model)
    results = [each.refine(PAIR.image, COARSE) for each in (refiner, original)]
    np.testing.assert_array_equal(results[0].labels, results[1].labels)
    np.testing.assert_allclose(results[0].confidence, results[1].confidence, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("stem", "method"), [(1, "model1"), (2, "plain"), (4, "stage2"), (4, "plain")]
)
def test_networks_of_all_shapes_keep_their_logits(stem: int, method: str, tmp_path: Path) -> None:
    network = NetworkConfig(stem=stem, widths=(8, 12))
    model = save_model(tmp_path / "a.safetensors", network=network, method=method)
    assert_same_logits(share_model(model, tmp_path / "a.onnx"), model)


def test_the_colours_of_classes_count_after_sharing(tmp_path: Path) -> None:
    model = save_model(tmp_path / "a.safetensors", colour_weight=0.5)
    assert_same_logits(share_model(model, tmp_path / "a.onnx"), model)


def test_the_bundled_model_keeps_its_logits(tmp_path: Path) -> None:
    model = bundled_file("fasseg")
    for name in ("faces.onnx", "faces.zip"):
        assert_same_logits(share_model(model, tmp_path / name), model)


def test_large_images_are_tiled_alike(
    shared: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = synthetic_pair(700, 1)
    refiners = [Refiner.load(path, "cpu") for path in (shared, model)]
    for refiner in refiners:
        monkeypatch.setattr(refiner, "_tile_side", lambda: 256)
    labels = [each.refine(large.image, TABLE.to_labels(large.coarse)).labels for each in refiners]
    assert (labels[0] != labels[1]).mean() < 1e-4


def test_flips_are_averaged(shared: Path, model: Path) -> None:
    both = [logits_of(Refiner.load(path, "cpu", average_flips=True)) for path in (shared, model)]
    torch.testing.assert_close(*both, rtol=0, atol=TOLERANCE)


def test_a_shared_model_is_found_by_its_classes(shared: Path) -> None:
    assert fitting_refiner(TABLE, [shared]) == str(shared)
    assert misfit(str(shared), TABLE) == ""
    assert "'tiny' does not know" in misfit(str(shared), ClassTable.preset("camvid"))
    assert open_refiner(str(shared), lambda: TABLE, "cpu").class_table == TABLE


def test_a_shared_model_is_not_trained_further(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="can refine, but not be trained or exported"):
        load_checkpoint(shared)
    with pytest.raises(CheckpointError, match=r"choose the \.safetensors file"):
        share_model(shared, tmp_path / "again.onnx")


def test_onnx_files_are_valid_and_run_without_this_program(model: Path, tmp_path: Path) -> None:
    path = share_model(model, tmp_path / "a.onnx")
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape) for each in session.get_inputs()] == [
        ("image", ["N", 3, "Y", "X"]),
        ("coarse", ["N", 6, "Y", "X"]),
    ]
    inputs = np.random.default_rng(0).standard_normal((2, 9, 24, 40), dtype=np.float32)
    (logits,) = session.run(None, {"image": inputs[:, :3], "coarse": inputs[:, 3:]})
    with torch.inference_mode():
        expected = load_checkpoint(model)[0](torch.from_numpy(inputs))
    np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=TOLERANCE)


@pytest.fixture
def package(model: Path, tmp_path: Path) -> Path:
    return share_model(
        model, tmp_path / "a.zip", title="Faces", authors=["A. Person"], licence="CC-BY-4.0"
    )


# bioimageio.spec 0.5.14 leaves the files open that it hashes.
leaves_files_open = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@leaves_files_open
def test_packages_pass_the_validator_of_the_format(package: Path) -> None:
    described = load_description(package, perform_io_checks=True)
    assert described.validation_summary.status == "valid-format"
    assert described.name == "Coarse-to-fine refiner Faces"
    assert [author.name for author in described.authors] == ["A. Person"]
    assert str(described.license) == "CC-BY-4.0"


@leaves_files_open
def test_packages_pass_the_validator_that_runs_them(package: Path) -> None:
    core = pytest.importorskip("bioimageio.core", reason="needs the group 'bioimageio'")
    summary = core.test_description(package, weight_format="onnx")
    assert summary.status == "passed", summary.format()
    assert sum("inference" in detail.name for detail in summary.details) > 3


def test_test_data_of_a_package_are_those_of_its_network(package: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path)
    image, coarse, logits = (np.load(tmp_path / f"{n}.npy") for n in ("image", "coarse", "logits"))
    assert (image.dtype, image.shape) == (np.uint8, (1, 3, 64, 64))
    assert set(coarse.sum(axis=1).ravel()) == {0, 1}
    session = onnxruntime.InferenceSession(
        tmp_path / "weights.onnx", providers=["CPUExecutionProvider"]
    )
    prepared = ((image - 127.5) / 127.5).astype(np.float32)
    (found,) = session.run(None, {"image": prepared, "coarse": coarse})
    np.testing.assert_allclose(found, logits, rtol=0, atol=TOLERANCE)


def test_paths_and_settings_of_the_run_are_left_out(tmp_path: Path) -> None:
    model = save_model(tmp_path / "a.safetensors", run_folder="/home/somebody/runs", seed=7)
    shared = share_model(model, tmp_path / "a.zip")
    assert b"somebody" not in shared.read_bytes()
    assert read_metadata(shared).config.architecture == read_metadata(model).config.architecture


def test_models_for_any_classes_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="refines maps of any classes"):
        share_model(bundled_file("any"), tmp_path / "any.onnx")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unless_asked(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.onnx"
    target.write_text("mine")
    with pytest.raises(DataError, match="already exists"):
        share_model(model, target)
    assert target.read_text() == "mine"
    share_model(model, target, overwrite=True)
    assert read_metadata(target).class_table == TABLE


def test_what_the_formats_do_not_permit_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.onnx .* or \.zip"):
        share_model(model, tmp_path / "a.pt")
    with pytest.raises(ConfigError, match=r"licen[cs]e"):
        share_model(model, tmp_path / "a.zip", licence="none of your business")
    assert not list(tmp_path.iterdir())


def test_titles_of_any_characters_become_names(model: Path, tmp_path: Path) -> None:
    shared = share_model(model, tmp_path / "a.zip", title="Müller's {faces}, 2nd")
    assert Refiner.load(shared, "cpu").class_table == TABLE
    with zipfile.ZipFile(shared) as archive:
        assert "# Müller's {faces}, 2nd" in archive.read("README.md").decode()


def test_devices_that_onnxruntime_does_not_have_are_refused(shared: Path) -> None:
    with pytest.raises(ConfigError, match="choose auto or cpu"):
        Refiner.load(shared, "mps")
    assert Refiner.load(shared, "auto").device.type == "cpu"


def test_without_the_extra_a_sentence_says_how_to_install_it(
    model: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    for action in (
        lambda: Refiner.load(shared, "cpu"),
        lambda: share_model(model, tmp_path / "a.onnx"),
        lambda: share_model(model, tmp_path / "a.zip"),
    ):
        with pytest.raises(MissingPackageError, match=r'pip install "napari-c2f\[share\]"'):
            action()
    assert read_metadata(shared).class_table == TABLE, "lists of models need no extra"


def test_reading_metadata_imports_no_extra(shared: Path) -> None:
    script = (
        "import json, sys; from c2f_core.models.metadata import read_metadata;"
        f"read_metadata({str(shared)!r}); print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not {"torch", "onnx", "onnxruntime", "bioimageio"} & set(json.loads(done.stdout))


def test_the_command_exports(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a.onnx"
    for status, message in ((0, f"Wrote {target}"), (2, "already exists")):
        with pytest.raises(SystemExit) as end:
            main([str(model), "-o", str(target)])
        assert end.value.code == status
        assert message in "".join(capsys.readouterr())
    with pytest.raises(SystemExit):
        main([str(tmp_path), "-o", str(tmp_path / "b.onnx")])
    assert "contains no checkpoint" in capsys.readouterr().err
