"""The learned refiner on any image, in tiles, when stopped and with little memory."""

import numpy as np
import pytest
import torch

from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.config.settings import NetworkConfig
from c2f_core.data.sample import astronaut_pair
from c2f_core.device import free_memory
from c2f_core.errors import (
    C2FError,
    Cancelled,
    CheckpointError,
    ClassTableError,
    ConfigError,
    ImageError,
)
from c2f_core.models.metadata import CheckpointMetadata, Normalisation, RecordedConfig
from c2f_core.networks.encoding import one_hot
from c2f_core.networks.unet import UNet, build_generator
from c2f_core.refine import learned
from c2f_core.refine.learned import Refiner, bytes_per_pixel

TABLE = ClassTable.preset("fasseg")
SMALL = RecordedConfig(network=NetworkConfig(stem=2, widths=(8, 12, 16)), colour_weight=0.0)


def tiny_generator(config: RecordedConfig = SMALL, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return build_generator(config.architecture, TABLE.number_of_classes)


def tiny_refiner(
    config: RecordedConfig = SMALL, temperature: float = 1.0, colour_weight: float = 0.0
) -> Refiner:
    recorded = config.model_copy(update={"colour_weight": colour_weight})
    metadata = CheckpointMetadata(config=recorded, class_table=TABLE, temperature=temperature)
    return Refiner(tiny_generator(config), metadata, name="tiny", device="cpu")


def pair(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and a coarse map with large regions, a tenth of it unlabelled."""
    random = np.random.default_rng(seed)
    cells = random.integers(0, TABLE.number_of_classes, (height // 40 + 1, width // 40 + 1))
    coarse = np.kron(cells, np.ones((40, 40), dtype=int))[:height, :width].astype(np.uint8)
    image = (coarse[..., None] * 40 + random.integers(0, 40, (height, width, 3))).astype(np.uint8)
    coarse[random.random((height, width)) < 0.1] = TABLE.unlabelled.index
    return image, coarse


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (33, 65), (64, 64), (100, 257)])
def test_any_size_is_refined(size: tuple[int, int]) -> None:
    result = tiny_refiner().refine(*pair(*size))
    assert result.labels.shape == result.confidence.shape == size
    assert result.labels.dtype == np.uint8
    assert result.confidence.dtype == np.float32
    assert result.labels.max() < TABLE.number_of_classes
    assert result.confidence.min() >= 1 / TABLE.number_of_classes - 1e-6
    assert result.confidence.max() <= 1


def test_result_is_the_bare_network_output() -> None:
    image, coarse = pair(48, 72)
    result = tiny_refiner(temperature=1.7).refine(image, coarse)
    colours = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    class_ids = torch.from_numpy(TABLE.to_class_ids(coarse))[None]
    channels = one_hot(class_ids, TABLE.number_of_classes)
    with torch.no_grad():
        logits = tiny_generator().eval()(torch.cat([colours, channels], dim=1))[0]
    probabilities = (logits / 1.7).softmax(dim=0).numpy()
    np.testing.assert_array_equal(result.labels, probabilities.argmax(axis=0))
    np.testing.assert_allclose(result.confidence, probabilities.max(axis=0), atol=1e-5)


def test_colours_of_the_classes_count_in_addition_to_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A network that says what the coarse map says, and is not sure.
    def follow_the_coarse_map(inputs: torch.Tensor) -> torch.Tensor:
        return 2 * inputs[:, 3:]

    coarse = np.repeat(np.array([0, 2], dtype=np.uint8), [40, 80])[None].repeat(90, axis=0)
    fine = np.repeat(np.array([0, 2], dtype=np.uint8), [50, 70])[None].repeat(90, axis=0)
    image = np.random.default_rng(0).integers(0, 20, (*fine.shape, 3)).astype(np.uint8)
    image[fine == 2] += np.array([180, 120, 90], dtype=np.uint8)

    def refined(weight: float) -> np.ndarray:
        refiner = tiny_refiner(colour_weight=weight)
        monkeypatch.setattr(refiner._generator, "forward", follow_the_coarse_map)
        return refiner.refine(image, coarse).labels

    np.testing.assert_array_equal(refined(0.0), coarse)
    assert (refined(1.0) == fine).mean() > 0.99


def test_colours_leave_no_seam_between_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    refiner = tiny_refiner(colour_weight=0.5)
    image, coarse = pair(512, 700)
    whole = refiner.refine(image, coarse).labels
    monkeypatch.setattr(learned, "LARGEST_TILE_ELSEWHERE", 384)
    different = refiner.refine(image, coarse).labels != whole
    assert different.mean() < 0.02
    assert different.mean(axis=0).max() < 0.1
    assert different.mean(axis=1).max() < 0.1


def test_the_bundled_model_leaves_no_seam_on_a_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    photograph = astronaut_pair(1024)
    refiner = Refiner.bundled("fasseg", "cpu")
    coarse = refiner.class_table.to_labels(photograph.coarse)
    whole = refiner.refine(photograph.image, coarse)
    monkeypatch.setattr(learned, "LARGEST_TILE_ELSEWHERE", 512)
    tiled = refiner.refine(photograph.image, coarse)
    different = tiled.labels != whole.labels
    assert different.mean() < 0.0005
    assert max(different.mean(axis=0).max(), different.mean(axis=1).max()) < 0.01
    steps = np.abs(np.diff(tiled.confidence - whole.confidence, axis=1))
    assert steps.mean(axis=0).max() < 0.005, "nor does the confidence"


@pytest.mark.parametrize(
    "convert",
    [
        lambda rgb: rgb.astype(np.uint16) * 257,
        lambda rgb: rgb / 255,
        lambda rgb: (rgb / 255).astype(np.float32),
        lambda rgb: np.concatenate([rgb, np.full_like(rgb[..., :1], 9)], axis=2),
        lambda rgb: rgb[:, ::-1][:, ::-1],
        np.asfortranarray,
    ],
    ids=["uint16", "float64", "float32", "rgba", "negative strides", "fortran order"],
)
def test_dtype_and_layout_do_not_matter(convert) -> None:
    image, coarse = pair(40, 56)
    expected = tiny_refiner().refine(image, coarse)
    result = tiny_refiner().refine(convert(image), coarse.astype(np.int64))
    np.testing.assert_array_equal(result.labels, expected.labels)
    np.testing.assert_array_equal(result.confidence, expected.confidence)


def test_grey_is_rgb_of_equal_channels() -> None:
    image, coarse = pair(40, 56)
    grey = image[..., 0]
    expected = tiny_refiner().refine(np.stack([grey] * 3, axis=2), coarse)
    np.testing.assert_array_equal(tiny_refiner().refine(grey, coarse).labels, expected.labels)


def test_inputs_are_not_changed() -> None:
    image, coarse = pair(40, 56)
    kept = image.copy(), coarse.copy()
    image.setflags(write=False)
    coarse.setflags(write=False)
    tiny_refiner().refine(image, coarse)
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(coarse, kept[1])


def test_labels_are_indices_of_the_table() -> None:
    entries = {1000 + 10 * entry.index: (entry.name, entry.colour) for entry in TABLE.classes}
    shifted = table_from_colours("shifted", entries)
    metadata = CheckpointMetadata(config=SMALL, class_table=shifted)
    refiner = Refiner(tiny_generator(), metadata, name="shifted", device="cpu")
    image, coarse = pair(40, 56)
    expected = tiny_refiner().refine(image, coarse).labels.astype(int) * 10 + 1000
    result = refiner.refine(image, shifted.to_labels(TABLE.to_class_ids(coarse)))
    assert result.labels.dtype == np.uint16
    np.testing.assert_array_equal(result.labels, expected)


def test_wholly_unlabelled_map_is_filled_in() -> None:
    image, _ = pair(40, 56)
    result = tiny_refiner().refine(image, np.full((40, 56), TABLE.unlabelled.index))
    assert (result.labels != TABLE.unlabelled.index).all()


def test_plain_network_does_not_see_the_coarse_map() -> None:
    refiner = tiny_refiner(RecordedConfig(network=NetworkConfig(widths=(8, 12)), method="plain"))
    image, coarse = pair(40, 56)
    first = refiner.refine(image, coarse)
    second = refiner.refine(image, np.zeros_like(coarse))
    np.testing.assert_array_equal(first.confidence, second.confidence)


def test_average_of_flips_is_symmetric() -> None:
    metadata = CheckpointMetadata(config=SMALL, class_table=TABLE)
    refiner = Refiner(tiny_generator(), metadata, name="tiny", device="cpu", average_flips=True)
    image, coarse = pair(48, 64)
    direct = refiner.refine(image, coarse).confidence
    mirrored = refiner.refine(image[:, ::-1], coarse[:, ::-1]).confidence[:, ::-1]
    np.testing.assert_allclose(direct, mirrored, atol=1e-5)


@pytest.mark.parametrize("size", [(512, 700), (700, 90)])
def test_tiles_agree_with_the_whole(monkeypatch: pytest.MonkeyPatch, size) -> None:
    refiner = tiny_refiner()
    image, coarse = pair(*size)
    whole = refiner.refine(image, coarse)
    monkeypatch.setattr(learned, "LARGEST_TILE_ELSEWHERE", 256)
    tiled = refiner.refine(image, coarse)
    np.testing.assert_array_equal(tiled.labels, whole.labels)
    np.testing.assert_allclose(tiled.confidence, whole.confidence, atol=1e-5)


@pytest.mark.parametrize(("stem", "widths"), [(2, (8, 12, 16, 24, 32)), (4, (8, 12, 16, 24))])
def test_deep_network_in_tiles_leaves_no_seam(
    monkeypatch: pytest.MonkeyPatch, stem, widths
) -> None:
    refiner = tiny_refiner(RecordedConfig(network=NetworkConfig(stem=stem, widths=widths)))
    image, coarse = pair(512, 700)
    whole = refiner.refine(image, coarse).labels
    monkeypatch.setattr(learned, "LARGEST_TILE_ELSEWHERE", 512)
    different = refiner.refine(image, coarse).labels != whole
    assert different.mean() < 0.001
    # The worst row or column would be the seam.
    assert different.mean(axis=0).max() < 0.02
    assert different.mean(axis=1).max() < 0.02


def test_progress_rises_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "LARGEST_TILE_ELSEWHERE", 256)
    shares: list[float] = []
    tiny_refiner().refine(*pair(300, 600), progress=shares.append)
    assert len(shares) > 4
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_stop_is_obeyed_between_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "LARGEST_TILE_ELSEWHERE", 256)
    shares: list[float] = []
    with pytest.raises(Cancelled, match="cancelled"):
        tiny_refiner().refine(
            *pair(300, 600), progress=shares.append, should_stop=lambda: len(shares) == 2
        )
    assert len(shares) == 2


def test_stop_before_and_during_the_only_tile() -> None:
    with pytest.raises(Cancelled):
        tiny_refiner().refine(*pair(20, 20), should_stop=lambda: True)
    answers = iter([False, True])
    with pytest.raises(Cancelled):
        tiny_refiner().refine(*pair(20, 20), should_stop=lambda: next(answers))


@pytest.mark.parametrize(
    ("image", "coarse", "error", "message"),
    [
        (np.zeros((8, 8, 3)), np.zeros((8, 9), int), ImageError, "8 x 8 pixels and"),
        (np.zeros((8, 8, 2)), np.zeros((8, 8), int), ImageError, "choose one plane"),
        (np.zeros((8, 8, 3)), np.zeros((1, 8, 8), int), ImageError, "3 dimensions"),
        (np.zeros((0, 8, 3)), np.zeros((0, 8), int), ImageError, "empty"),
        (np.full((8, 8), np.nan), np.zeros((8, 8), int), ImageError, "NaN"),
        (np.zeros((8, 8, 3)), np.full((8, 8), 77), ClassTableError, r"77 \(64 px\)"),
        (np.zeros((8, 8, 3)), np.full((8, 8), -1), ClassTableError, "-1"),
        (np.zeros((8, 8, 3)), np.zeros((8, 8)), ClassTableError, "integer"),
    ],
)
def test_bad_inputs_are_named(image, coarse, error: type[C2FError], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny_refiner().refine(image, coarse)


def test_exhausted_memory_leads_to_smaller_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    refiner = tiny_refiner()
    image, coarse = pair(520, 530)
    expected = refiner.refine(image, coarse).labels
    forward, sizes = UNet.forward, []

    def cramped(self: UNet, inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(max(inputs.shape[-2:]))
        if sizes[-1] > 300:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        return forward(self, inputs)

    monkeypatch.setattr(UNet, "forward", cramped)
    np.testing.assert_array_equal(refiner.refine(image, coarse).labels, expected)
    assert sizes[0] == 530
    assert max(sizes[1:]) <= 265


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), MemoryError()])
def test_no_memory_at_all_is_one_sentence(monkeypatch: pytest.MonkeyPatch, error) -> None:
    def forward(self: UNet, inputs: torch.Tensor) -> torch.Tensor:
        raise error

    monkeypatch.setattr(UNet, "forward", forward)
    with pytest.raises(ImageError, match="not enough memory"):
        tiny_refiner().refine(*pair(600, 600))


def test_other_errors_of_the_network_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: UNet, inputs: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("a bug")

    monkeypatch.setattr(UNet, "forward", forward)
    with pytest.raises(RuntimeError, match="a bug"):
        tiny_refiner().refine(*pair(20, 20))


def test_little_free_memory_makes_small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    forward, sizes = UNet.forward, []

    def measured(self: UNet, inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(max(inputs.shape[-2:]))
        return forward(self, inputs)

    monkeypatch.setattr(UNet, "forward", measured)
    need = bytes_per_pixel(tiny_generator())
    monkeypatch.setattr(learned, "free_memory", lambda device: 2 * need * 600**2)
    tiny_refiner().refine(*pair(800, 300))
    assert 256 < max(sizes) <= 512
    sizes.clear()
    monkeypatch.setattr(learned, "free_memory", lambda device: 1)
    tiny_refiner().refine(*pair(800, 300))
    assert max(sizes) <= 256


def test_a_tile_never_needs_much_memory_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "free_memory", lambda device: 1 << 40)
    monkeypatch.setattr(learned, "LARGEST_MEMORY", bytes_per_pixel(tiny_generator()) * 600**2)
    shares: list[float] = []
    tiny_refiner().refine(*pair(800, 300), progress=shares.append)
    assert len(shares) == 2
    assert shares == sorted(shares)


def test_free_memory_is_known() -> None:
    assert free_memory(torch.device("cpu")) > 1 << 20


def test_unknown_device_is_named() -> None:
    for device in ("cuda:99", "abacus", "hpu", "meta", "cuda:-1", "cpu\n"):
        with pytest.raises(ConfigError, match=device):
            Refiner(
                tiny_generator(),
                CheckpointMetadata(config=SMALL, class_table=TABLE),
                name="tiny",
                device=device,
            )


@pytest.mark.parametrize("colour_weight", [0.0, 0.25])
def test_output_that_is_not_finite_is_refused(colour_weight: float) -> None:
    metadata = CheckpointMetadata(
        config=SMALL.model_copy(update={"colour_weight": colour_weight}),
        class_table=TABLE,
        normalisation=Normalisation(scale=1e-38),
    )
    refiner = Refiner(tiny_generator(), metadata, name="broken", device="cpu")
    with pytest.raises(CheckpointError, match="'broken' computes values that are not finite"):
        refiner.refine(*pair(40, 40))
