"""The class-agnostic refiner, with a small network of random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.draw import disk, ellipse

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.classes.table import ClassEntry, ClassTable
from c2f_core.config.settings import ClassAgnosticConfig
from c2f_core.errors import Cancelled, CheckpointError, ImageError
from c2f_core.models import bundled
from c2f_core.models.bundled import bundled_for_any_classes, is_for_any_classes
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import ClassAgnosticMetadata, RecordedConfig
from c2f_core.networks.class_agnostic import ClassAgnosticNetwork
from c2f_core.refine import learned
from c2f_core.refine.class_agnostic import refiner as module
from c2f_core.refine.class_agnostic.refiner import ClassAgnosticRefiner
from c2f_core.refine.instant import refiner as blocks
from c2f_core.refine.instant.parts import REACH
from c2f_core.refine.instant.posterior import InstantModel
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.interface import SILENT, Monitor
from c2f_core.refine.learned import Refiner
from c2f_core.refine.run import open_refiner

Array = NDArray[np.uint8]
SIZE = 160
SHAPE = ClassAgnosticConfig(class_widths=(4, 6, 8, 8), detail_width=4, key_width=4)
METADATA = ClassAgnosticMetadata(config=RecordedConfig(method="any", class_agnostic=SHAPE))


def _table(count: int, first: int = 0) -> ClassTable:
    return ClassTable(
        name="test",
        classes=tuple(
            ClassEntry(name=f"class {number}", index=number + first, colour=(number, 0, 0))
            for number in range(count)
        ),
        unlabelled=ClassEntry(name="unlabelled", index=255, colour=(0, 0, 1)),
    )


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in float32, so that results can be compared."""
    monkeypatch.setattr(module, "computes_in_bfloat16", lambda _device: False)


@pytest.fixture
def network() -> ClassAgnosticNetwork:
    torch.manual_seed(0)
    network = ClassAgnosticNetwork(SHAPE)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return network.eval()


@pytest.fixture
def refiner(network: ClassAgnosticNetwork) -> ClassAgnosticRefiner:
    return ClassAgnosticRefiner(network, METADATA, name="any", device="cpu")


@pytest.fixture
def scene() -> tuple[Array, Array]:
    """Return a noisy picture of a disk and an ellipse, and its coarse map."""
    fine = np.zeros((SIZE, SIZE), np.uint8)
    fine[disk((60, 60), 35)] = 1
    fine[ellipse(115, 110, 25, 40, shape=fine.shape)] = 2
    coarse = np.zeros_like(fine)
    coarse[30:92, 30:92] = 1
    coarse[88:140, 75:150] = 2
    colours = np.array([[60, 120, 60], [180, 70, 60], [70, 80, 190]])
    noise = np.random.default_rng(0).normal(0, 12, (SIZE, SIZE, 3))
    return np.clip(colours[fine] + noise, 0, 255).astype(np.uint8), coarse


def test_permuted_classes_give_the_permuted_map(
    refiner: ClassAgnosticRefiner, scene: tuple[Array, Array]
) -> None:
    rgb, coarse = scene
    permutation = np.array([7, 0, 3], np.uint8)
    fine, confidence = refiner.refine_ids(rgb, coarse, SILENT)
    other, other_confidence = refiner.refine_ids(rgb, permutation[coarse], SILENT)
    np.testing.assert_array_equal(other, permutation[fine])
    np.testing.assert_allclose(other_confidence, confidence, atol=1e-5)
    assert (fine != coarse).any()


def test_the_network_changes_what_the_instant_refiner_says(
    refiner: ClassAgnosticRefiner, scene: tuple[Array, Array]
) -> None:
    instant = InstantRefiner(_table(3)).refine_ids(*scene, SILENT)[0]
    assert (refiner.refine_ids(*scene, SILENT)[0] != instant).any()


def test_an_untrained_network_is_the_instant_refiner(scene: tuple[Array, Array]) -> None:
    untrained = ClassAgnosticRefiner(
        ClassAgnosticNetwork(SHAPE), METADATA, name="any", device="cpu"
    )
    instant = InstantRefiner(_table(3)).refine_ids(*scene, SILENT)
    found = untrained.refine_ids(*scene, SILENT)
    np.testing.assert_array_equal(found[0], instant[0])
    np.testing.assert_allclose(found[1], instant[1], atol=1e-5)


def test_unlabelled_pixels_get_a_class_and_what_is_far_away_stays(
    refiner: ClassAgnosticRefiner, scene: tuple[Array, Array]
) -> None:
    rgb, coarse = scene
    coarse[40:80, 70:130] = UNLABELLED_ID
    fine, confidence = refiner.refine_ids(rgb, coarse, SILENT)
    assert set(np.unique(fine)) <= {0, 1, 2}
    far = InstantModel.of_image(rgb, coarse).part.depth > REACH
    assert far.any()
    np.testing.assert_array_equal(fine[far], coarse[far])
    assert confidence.min() >= 0
    assert confidence.max() <= 1


def test_windows_give_about_the_result_of_the_whole(
    refiner: ClassAgnosticRefiner, scene: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb, coarse = (np.tile(part, (2, 2, 1)[: part.ndim]) for part in scene)
    fine, _ = refiner.refine_ids(rgb, coarse, SILENT)
    model = InstantModel.of_image(rgb, coarse)
    assert len(refiner.windows(model, model.part.place)) == 1
    monkeypatch.setattr(module, "LARGEST_WINDOW", 150_000)
    assert len(refiner.windows(model, model.part.place)) > 4
    parts, _ = refiner.refine_ids(rgb, coarse, SILENT)
    assert (parts != fine).mean() < 0.002


def test_a_flat_image_leaves_the_map_unchanged(
    refiner: ClassAgnosticRefiner, scene: tuple[Array, Array]
) -> None:
    _, coarse = scene
    flat = np.full((SIZE, SIZE, 3), 120, np.uint8)
    np.testing.assert_array_equal(refiner.refine_ids(flat, coarse, SILENT)[0], coarse)


def test_two_runs_give_the_same_map(
    refiner: ClassAgnosticRefiner, scene: tuple[Array, Array]
) -> None:
    first, second = (refiner.refine_ids(*scene, SILENT) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_one_class_fills_the_image(refiner: ClassAgnosticRefiner) -> None:
    coarse = np.full((20, 30), UNLABELLED_ID, np.uint8)
    coarse[5:10, 5:10] = 1
    fine, _ = refiner.refine_ids(np.zeros((20, 30, 3), np.uint8), coarse, SILENT)
    assert (fine == 1).all()


def test_two_hundred_classes_stay_a_partition(
    refiner: ClassAgnosticRefiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    coarse = np.repeat(np.repeat(np.arange(200, dtype=np.uint8).reshape(10, 20), 6, 0), 6, 1)
    colours = rng.integers(0, 255, (200, 3))
    rgb = np.clip(colours[coarse] + rng.normal(0, 5, (*coarse.shape, 3)), 0, 255).astype(np.uint8)
    sizes = []
    logits = refiner._logits
    monkeypatch.setattr(
        refiner,
        "_logits",
        lambda rgb, found: sizes.append(found.channels.size) or logits(rgb, found),
    )
    coarse[30:36, 30:36] = UNLABELLED_ID
    fine, _ = refiner.refine_ids(rgb, coarse, SILENT)
    assert set(np.unique(fine)) <= set(range(200))
    assert max(sizes) <= 7 * module.LARGEST_WINDOW


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (700, 5)])
def test_any_size(refiner: ClassAgnosticRefiner, shape: tuple[int, int]) -> None:
    coarse = np.zeros(shape, np.uint8)
    coarse[:, shape[1] // 2 :] = 1
    fine, confidence = refiner.refine_ids(np.zeros((*shape, 3), np.uint8), coarse, SILENT)
    assert fine.shape == confidence.shape == shape


def test_averaging_flips_changes_the_probabilities(
    network: ClassAgnosticNetwork, scene: tuple[Array, Array]
) -> None:
    both = ClassAgnosticRefiner(network, METADATA, name="any", device="cpu", average_flips=True)
    once = ClassAgnosticRefiner(network, METADATA, name="any", device="cpu")
    assert (both.refine_ids(*scene, SILENT)[1] != once.refine_ids(*scene, SILENT)[1]).any()


def test_maps_without_labels_are_refused_and_work_stops_when_asked(
    refiner: ClassAgnosticRefiner, scene: tuple[Array, Array]
) -> None:
    with pytest.raises(ImageError, match="Nothing is labelled"):
        refiner.refine_ids(scene[0], np.full((SIZE, SIZE), UNLABELLED_ID, np.uint8), SILENT)
    with pytest.raises(Cancelled):
        refiner.refine_ids(*scene, Monitor(should_stop=lambda: True))


def test_exhausted_memory_and_broken_weights_end_in_one_sentence(
    network: ClassAgnosticNetwork, scene: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    network.head.bias.data.fill_(float("nan"))
    broken = ClassAgnosticRefiner(network, METADATA, name="any", device="cpu")
    with pytest.raises(CheckpointError, match="not finite"):
        broken.refine_ids(*scene, SILENT)

    def exhaust(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(broken, "_forward", exhaust)
    with pytest.raises(ImageError, match="not enough memory"):
        broken.refine(*scene)


@pytest.fixture
def checkpoint(network: ClassAgnosticNetwork, tmp_path: Path) -> Path:
    path = tmp_path / "any.safetensors"
    save_checkpoint(path, network, METADATA)
    return path


def test_a_saved_model_refines_maps_of_any_class_table(
    refiner: ClassAgnosticRefiner, checkpoint: Path, scene: tuple[Array, Array]
) -> None:
    rgb, coarse = scene
    table = _table(3, first=40)
    loaded = open_refiner(str(checkpoint), lambda: table, "cpu")
    assert loaded.class_table == table
    assert loaded.source == checkpoint
    result = loaded.refine(rgb, table.to_labels(coarse))
    np.testing.assert_array_equal(result.labels, refiner.refine_ids(rgb, coarse, SILENT)[0] + 40)


def test_a_bundled_model_is_found_by_name(
    checkpoint: Path, scene: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (bundled, learned):
        monkeypatch.setattr(each, "BUNDLED_FOLDER", checkpoint.parent)
    assert bundled_for_any_classes() == ["any"]
    assert is_for_any_classes("any")
    assert not is_for_any_classes("instant")
    assert open_refiner("any", lambda: _table(3), "cpu").class_table == _table(3)
    by_numbers = Refiner.bundled("any", "cpu").refine(*scene)
    assert set(np.unique(by_numbers.labels)) == {0, 1, 2}


def test_blocks_of_a_large_image_look_like_the_whole(
    refiner: ClassAgnosticRefiner, scene: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb, coarse = (np.tile(part, (4, 3, 1)[: part.ndim]) for part in scene)
    expected, _ = refiner.refine_ids(rgb, coarse, SILENT)
    monkeypatch.setattr(blocks, "BLOCK", 256)
    found = refiner.refine(rgb, coarse)
    assert (expected != coarse).mean() > 0.02
    assert (found.labels == expected).mean() >= 0.999
    np.testing.assert_array_equal(refiner.refine(rgb, coarse).confidence, found.confidence)
