"""Which refiner fits a coarse map, and which ones cannot refine it."""

from pathlib import Path

import numpy as np
import pytest

from c2f_core.classes.editing import with_class
from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import NetworkConfig
from c2f_core.data.synthetic import SHAPES
from c2f_core.geometry.arrays import Patch
from c2f_core.models.bundled import bundled_models
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.unet import build_generator
from c2f_core.refine.fitting import fitting_refiner, general_refiner, misfit

FASSEG = ClassTable.preset("fasseg")
needs_faces = pytest.mark.skipif("fasseg" not in bundled_models(), reason="no bundled model here")


def _without(table: ClassTable, name: str) -> ClassTable:
    kept = tuple(entry for entry in table.classes if entry.name != name)
    return table.model_copy(update={"classes": kept})


@needs_faces
def test_a_bundled_model_fits_its_own_classes_in_any_order() -> None:
    turned = FASSEG.model_copy(update={"classes": FASSEG.classes[::-1], "name": "mine"})
    assert fitting_refiner(FASSEG) == fitting_refiner(turned) == "fasseg"
    for other in (_without(FASSEG, "hair"), with_class(FASSEG, "beard"), SHAPES):
        assert fitting_refiner(other) == general_refiner()


def test_the_general_refiner_is_there() -> None:
    assert general_refiner() == ("any" if "any" in bundled_models() else "instant")


def test_files_come_before_bundled_models_and_damaged_ones_are_passed_over(
    trained_shapes: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no model")
    files = [damaged, tmp_path / "missing.safetensors", trained_shapes]
    assert fitting_refiner(SHAPES, files) == str(trained_shapes)
    assert fitting_refiner(with_class(SHAPES, "beard"), files) == general_refiner()


@pytest.mark.parametrize("name", ["any", "instant", "watershed", "random walker"])
def test_refiners_of_any_classes_fit_every_map(name: str) -> None:
    assert misfit(name, SHAPES) == misfit(name, FASSEG) == ""


def test_a_class_that_the_model_does_not_know_is_named_only_if_the_map_has_it(
    trained_shapes: Path,
) -> None:
    model, table = str(trained_shapes), with_class(SHAPES, "beard")
    beard = next(entry.index for entry in table.classes if entry.name == "beard")
    labels = np.full((6, 8), table.classes[0].index, np.uint8)
    assert misfit(model, SHAPES) == misfit(model, table, labels) == ""
    assert "'shapes' does not know 'beard' of the coarse map" in misfit(model, table)
    labels[1:3, 2:5] = beard
    assert misfit(model, table, labels, title="Mine").startswith("'Mine' does not know 'beard'")
    window = slice(1, 3), slice(2, 5)
    painted = Patch(window, np.ones((2, 3), np.bool_), labels[window].ravel())
    assert misfit(model, table, labels, [painted]) == ""


def test_a_class_that_the_map_cannot_store_is_named(trained_shapes: Path) -> None:
    gone = SHAPES.names[-1]
    sentence = misfit(str(trained_shapes), _without(SHAPES, gone))
    assert sentence.startswith(f"'shapes' also finds '{gone}', which '{SHAPES.name}' does not have")


def test_a_file_that_cannot_be_read_is_left_to_opening_it(tmp_path: Path) -> None:
    assert misfit(str(tmp_path / "missing.safetensors"), SHAPES) == ""


@pytest.fixture(scope="module")
def trained_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model file for the classes of the synthetic scenes."""
    config = RecordedConfig(network=NetworkConfig(widths=(4, 8), stem=1), colour_weight=0.0)
    generator = build_generator(config.architecture, SHAPES.number_of_classes)
    path = tmp_path_factory.mktemp("models") / "shapes.safetensors"
    save_checkpoint(path, generator, CheckpointMetadata(config=config, class_table=SHAPES))
    return path
