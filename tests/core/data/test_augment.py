"""Batches of pairs: crops and augmentation."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import AugmentationConfig, SimulationConfig
from c2f_core.data.augment import Placement, TextureBank, draw_placement, draw_shift
from c2f_core.data.batches import AugmentedBatches, CropSampling, ReportBatches, corner_crops
from c2f_core.data.pairs import Pair
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import ConfigError
from c2f_core.networks.encoding import most_likely

FASSEG = ClassTable.preset("fasseg")


def test_report_preprocessing_cuts_four_corners():
    pair = synthetic_pair(300, seed=1)
    crops = corner_crops(pair)
    assert [crop.image.shape for crop in crops] == [(256, 256, 3)] * 4
    np.testing.assert_array_equal(crops[3].image, pair.image[-256:, -256:])
    np.testing.assert_array_equal(crops[1].coarse, pair.coarse[:256, -256:])
    assert corner_crops(synthetic_pair(100, seed=1))[0].fine.shape == (256, 256)


def test_report_batches_see_every_crop_once_in_an_epoch():
    pairs = [synthetic_pair(64, seed) for seed in range(2)]
    batches = ReportBatches(pairs, 4, batch_size=4, seed=0)
    first, second = batches(0), batches(1)
    assert first.images.shape == (4, 3, 256, 256)
    assert first.coarse.shape == (4, 4, 256, 256)
    sums = torch.cat([first.images, second.images]).sum(dim=(1, 2, 3)).tolist()
    # Each pair is smaller than a crop, so that its four corners are one and the same.
    assert len({round(value, 1) for value in sums}) == 2
    torch.testing.assert_close(batches(0).images, first.images, rtol=0, atol=0)


def numbered_classes(count):
    """Return a class table whose classes are named by number."""
    classes = [{"name": str(n), "index": n, "colour": (n, n, n)} for n in range(count)]
    unlabelled = {"name": "unlabelled", "index": 255, "colour": (255, 255, 255)}
    tree = {"name": "numbers", "classes": classes, "unlabelled": unlabelled}
    return ClassTable.model_validate(tree)


def position_coloured_pairs():
    """Pairs whose image shows the class and whose coarse map equals the fine one."""
    table = ClassTable.preset("camvid")
    pairs = []
    for seed in range(2):
        fine = synthetic_pair(90, seed).fine
        pairs.append(Pair(str(seed), np.repeat(fine[..., None] * 60, 3, axis=2), fine, fine))
    return table, pairs


def test_augmentation_changes_image_and_maps_alike():
    table, pairs = position_coloured_pairs()
    config = AugmentationConfig(
        colour=0,
        recolour_share=0,
        blur_and_noise=0,
        coarse_shift=0,
        coarse_distortion=0,
        coarse_erase_share=0,
    )
    batch = AugmentedBatches(pairs, table, config, CropSampling(64, 8, 0))(0)
    seen = ((batch.images[:, 0] + 1) * 127.5 / 60).round().long()
    # Bilinear boundaries differ from nearest-neighbour ones by a pixel.
    assert (seen == batch.fine).float().mean() > 0.9
    assert (batch.coarse.argmax(dim=1) == batch.fine).all()
    assert set(batch.fine.unique().tolist()) <= {0, 1, 2, 3}


def batches_of(pairs, **simulation):
    sampling, config = CropSampling(64, 16, 0), AugmentationConfig(coarse_erase_share=0)
    settings_ = SimulationConfig(**simulation)
    return AugmentedBatches(pairs, SHAPES, config, sampling, simulation=settings_)


def test_a_share_of_the_coarse_maps_is_simulated():
    pairs = [synthetic_pair(96, seed) for seed in range(2)]
    blank = [dataclasses.replace(pair, coarse=np.zeros_like(pair.coarse)) for pair in pairs]
    none, half, all_ = (
        batches_of(blank, share=share, kinds=("polygons",)) for share in (0, 0.5, 1)
    )
    is_blank = [(batch(3).coarse[:, 0] == 1).all(dim=(1, 2)) for batch in (none, half, all_)]
    assert is_blank[0].all()
    assert 0 < is_blank[1].sum() < 16
    crops = all_(3)
    agreement = (most_likely(crops.coarse) == crops.fine).float().mean()
    assert 0.8 < agreement < 1
    torch.testing.assert_close(half(3).coarse, half(3).coarse, rtol=0, atol=0)


def test_without_simulation_the_crops_are_those_of_before():
    pairs = [synthetic_pair(96, 0)]
    plain = AugmentedBatches(
        pairs, SHAPES, AugmentationConfig(coarse_erase_share=0), CropSampling(64, 16, 0)
    )
    for name in ("images", "coarse", "fine"):
        first, second = (getattr(batches(1), name) for batches in (plain, batches_of(pairs)))
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_coarse_maps_that_are_missing_are_always_simulated():
    pair = dataclasses.replace(synthetic_pair(96, 0), is_simulated=True)
    blank = dataclasses.replace(pair, coarse=np.full_like(pair.coarse, 3))
    crops = batches_of([blank], share=0.01, kinds=("displacement",))(0)
    assert (most_likely(crops.coarse) == crops.fine).float().mean() > 0.8


def test_pairs_without_a_fine_map_keep_their_coarse_map():
    pair = dataclasses.replace(synthetic_pair(96, 0), fine=None)
    simulated, plain = batches_of([pair], share=1), batches_of([pair])
    torch.testing.assert_close(simulated(2).coarse, plain(2).coarse, rtol=0, atol=0)


def interior(positions):
    """Pixels (N, Y, X) whose 5 x 5 neighbourhood is seen and of one class."""
    values = torch.nn.functional.pad(positions[:, None].float(), (2, 2, 2, 2), value=-1)
    highest = torch.nn.functional.max_pool2d(values, 5, 1)
    lowest = -torch.nn.functional.max_pool2d(-values, 5, 1)
    return (highest == lowest)[:, 0]


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    crop=st.integers(16, 70),
    rotation=st.floats(0, 180),
    scale=st.floats(0.3, 3),
    seed=st.integers(0, 999),
)
def test_image_and_maps_stay_aligned(size, crop, rotation, scale, seed):
    rng = np.random.default_rng(seed)
    fine = rng.integers(0, 4, size, dtype=np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    image = np.stack([fine * 60, 240 - fine * 60, 30 + fine * 50], axis=2)
    config = AugmentationConfig(
        scale=(scale, scale),
        rotation=rotation,
        colour=0,
        recolour_share=0,
        blur_and_noise=0,
        coarse_shift=0,
        coarse_distortion=0,
        coarse_erase_share=0,
    )
    pairs = [Pair("blocks", image, fine, fine)]
    batch = AugmentedBatches(pairs, FASSEG, config, CropSampling(crop, 2, seed))(0)
    inner = interior(batch.fine)
    red, green, blue = ((batch.images + 1) * 127.5).unbind(dim=1)
    for seen in (red / 60, (240 - green) / 60, (blue - 30) / 50):
        assert (seen.round().long() == batch.fine)[inner].all()
    assert (batch.coarse.argmax(dim=1) == batch.fine).all()


@pytest.mark.parametrize("step", [0.25, 0.5, 1.5])
def test_a_map_is_sampled_alike_with_and_without_a_shift_of_zero(step):
    # Many points lie exactly between two pixels.
    placement = Placement(np.array([[step, 0, 0.5], [0, step, 0.5]]), 32)
    class_ids = np.random.default_rng(0).integers(0, 4, (60, 70), dtype=np.uint8)
    still = np.zeros((32, 32, 2), np.float32)
    np.testing.assert_array_equal(placement.map(class_ids), placement.map(class_ids, still))


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    side=st.integers(2, 40),
    scale=st.floats(0.2, 3),
    seed=st.integers(0, 999),
)
def test_the_part_that_a_crop_sees_is_all_that_it_needs(size, side, scale, seed):
    rng = np.random.default_rng(seed)
    config = AugmentationConfig(rotation=180)
    whole = draw_placement(size, side, (scale, scale), config, rng)
    shift = draw_shift(side, config, rng)
    part, window = whole.of_window(size, config.coarse_shift + config.coarse_distortion)
    # Smooth, for float coordinates differ in the last digits.
    positions = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.uint8)
    image = np.stack([positions] * 3, axis=2)
    for of_part, of_whole in (
        (part.image(image[window]), whole.image(image)),
        (part.map(positions[window]), whole.map(positions)),
        (part.map(positions[window], shift), whole.map(positions, shift)),
    ):
        assert np.abs(of_part.astype(int) - of_whole).max() <= 2
    outside = [
        placement.outside(s) for placement, s in ((part, positions[window].shape), (whole, size))
    ]
    marks = [np.zeros((side, side), bool) if each is None else each for each in outside]
    assert (marks[0] != marks[1]).mean() < 0.05


def test_a_pixel_whose_nearest_neighbour_is_mirrored_lies_outside():
    placement = Placement(np.array([[1.0, 0, 0.7], [0, 1, 0]]), 16)
    places = np.arange(16, dtype=np.uint8)[None].repeat(16, axis=0)
    outside = placement.outside(places.shape)
    assert outside is not None
    mirrored = placement.map(places)[:, -1] != 16
    assert mirrored.all()
    assert outside[:, -1].all()
    assert not outside[:, :-1].any()
    assert Placement(np.eye(2, 3), 16).outside(places.shape) is None


def test_a_strip_that_opencv_refuses_as_a_whole_is_augmented():
    strip = np.zeros((20, 40_000), dtype=np.uint8)
    strip[:, 20_000:] = 1
    pair = Pair("strip", np.repeat(strip[..., None] * 200, 3, axis=2), strip, strip)
    config = AugmentationConfig(colour=0, recolour_share=0, blur_and_noise=0)
    batch = AugmentedBatches([pair], FASSEG, config, CropSampling(32, 8, 0))(0)
    seen = (batch.images[:, 0] > 0).long()
    assert (seen == batch.fine).float().mean() > 0.95


def test_coarse_map_is_shifted_against_the_image():
    fine = np.random.default_rng(0).integers(0, 4, (80, 80), dtype=np.uint8)
    image = np.zeros((80, 80, 3), dtype=np.uint8)
    config = AugmentationConfig(
        flip=False,
        scale=(1, 1),
        rotation=0,
        wide_scale_share=0,
        coarse_distortion=0,
        coarse_erase_share=0,
    )
    pairs = [Pair("noise", image, fine, fine)]
    batch = AugmentedBatches(pairs, FASSEG, config, CropSampling(32, 16, 0))(0)
    coarse = batch.coarse.argmax(dim=1)
    shifts = set()
    for one, other in zip(coarse, batch.fine, strict=True):
        shifts |= {
            (row, column)
            for row in range(-4, 5)
            for column in range(-4, 5)
            if (one.roll((-row, -column), (0, 1)) == other)[4:-4, 4:-4].all()
        }
    assert (0, 0) in shifts
    assert len(shifts) > 4


def test_parts_of_the_coarse_map_move_against_each_other():
    rows, columns = np.mgrid[:120, :120].astype(np.uint8)
    image = np.zeros((120, 120, 3), dtype=np.uint8)
    config = AugmentationConfig(
        flip=False,
        scale=(1, 1),
        rotation=0,
        wide_scale_share=0,
        recolour_share=0,
        coarse_shift=0,
        coarse_distortion=6,
        coarse_erase_share=0,
    )
    table = numbered_classes(120)
    for places in (rows, columns):
        # Both maps number the rows, or columns, of the pair.
        pair = Pair("places", image, places, places)
        batch = AugmentedBatches([pair], table, config, CropSampling(64, 16, 0))(0)
        shifts = batch.coarse.argmax(dim=1) - batch.fine
        moved = shifts.flatten(1).abs().amax(dim=1) > 0
        assert 0 < moved.sum() < 16
        assert 3 < shifts.abs().max() <= 6
        assert shifts[moved].float().std(dim=(1, 2)).min() > 0.5
        steps = shifts[moved].diff(dim=1).abs().max(), shifts[moved].diff(dim=2).abs().max()
        assert max(steps) <= 2, "the parts move smoothly"


def test_pairs_without_a_fine_map_are_unlabelled():
    table, pairs = position_coloured_pairs()
    pairs = [dataclasses.replace(pair, fine=None) for pair in pairs]
    config = AugmentationConfig(background_class="sky", background_share=1)
    batch = AugmentedBatches(pairs, table, config, CropSampling(64, 8, 0))(0)
    assert (batch.fine == 255).all()
    assert batch.strong_images is None
    assert (ReportBatches(pairs, 4, batch_size=4, seed=0)(0).fine == 255).all()


def test_strong_views_share_everything_but_their_colours():
    table, pairs = position_coloured_pairs()

    def draw(strong):
        config = AugmentationConfig(background_class="sky")
        return AugmentedBatches(pairs, table, config, CropSampling(64, 4, 0), strong)(1)

    weak = draw(None)
    strong = draw(AugmentationConfig(colour=1, blur_and_noise=1))
    for name in ("images", "coarse", "fine"):
        assert torch.equal(getattr(weak, name), getattr(strong, name))
    assert strong.strong_images.shape == strong.images.shape
    assert strong.strong_images.abs().max() <= 1
    assert (strong.strong_images - strong.images).abs().mean() > 0.05
    unchanged = draw(AugmentationConfig(colour=0, blur_and_noise=0))
    torch.testing.assert_close(unchanged.strong_images, weak.images, rtol=0, atol=1e-5)


def test_a_batch_moves_as_a_whole():
    table, pairs = position_coloured_pairs()
    config = AugmentationConfig()
    batches = AugmentedBatches(pairs, table, config, CropSampling(32, 2, 0), strong=config)
    moved = batches(0).to(torch.device("meta"))
    assert all(getattr(moved, field.name).is_meta for field in dataclasses.fields(moved))


def test_augmentation_depends_on_seed_and_step_only():
    table, pairs = position_coloured_pairs()
    config = AugmentationConfig(background_class="sky", blur_and_noise=0.5)

    def draw(step, seed=0):
        return AugmentedBatches(pairs, table, config, CropSampling(32, 2, seed))(step).images

    torch.testing.assert_close(draw(3), draw(3), rtol=0, atol=0)
    assert not torch.equal(draw(3), draw(4))
    assert not torch.equal(draw(3), draw(3, seed=1))


def test_erased_coarse_pixels_are_the_zero_vector():
    table, pairs = position_coloured_pairs()
    config = AugmentationConfig(coarse_erase_share=1)
    coarse = AugmentedBatches(pairs, table, config, CropSampling(64, 8, 0))(0).coarse
    assert set(coarse.sum(dim=1).unique().tolist()) == {0.0, 1.0}


def test_replaced_background_leaves_the_other_classes_alone():
    table, pairs = position_coloured_pairs()
    base = {
        "colour": 0,
        "recolour_share": 0,
        "blur_and_noise": 0,
        "wide_scale_share": 0,
        "coarse_erase_share": 0,
    }
    config = AugmentationConfig(**base, background_class="sky", background_share=1, scale=(1, 1))
    batch = AugmentedBatches(pairs, table, config, CropSampling(80, 4, 0))(0)
    seen = (batch.images[:, 0] + 1) * 127.5 / 60
    inner = torch.nn.functional.max_pool2d((batch.fine == 0).float(), 5, 1, 2) == 0
    assert inner.any()
    assert (seen.round()[inner] == batch.fine[inner]).float().mean() > 0.85
    background = batch.images[:, 0][batch.fine == 0]
    assert background.std() > 0.05


def test_each_class_is_recoloured_by_itself():
    table = ClassTable.preset("camvid")
    fine = np.repeat(np.array([0, 1], dtype=np.uint8), 40)[None].repeat(80, axis=0)
    pair = Pair("halves", np.full((80, 80, 3), 128, np.uint8), fine, fine)
    config = AugmentationConfig(
        colour=0, blur_and_noise=0, recolour_share=1, scale=(1, 1), wide_scale_share=0
    )
    batch = AugmentedBatches([pair], table, config, CropSampling(64, 60, 0))(0)
    inner = interior(batch.fine)
    means = torch.tensor(
        [
            [image[:, inside & (fine == position)].mean() for position in (0, 1)]
            for image, inside, fine in zip(batch.images, inner, batch.fine, strict=True)
        ]
    )
    means = means[~means.isnan().any(dim=1)]
    assert len(means) > 20
    assert means.std(dim=0).min() > 0.15
    assert abs(torch.corrcoef(means.T)[0, 1]) < 0.4
    assert batch.images.abs().max() <= 1


def test_without_a_fine_map_nothing_is_recoloured():
    table, pairs = position_coloured_pairs()
    coarse_only = [dataclasses.replace(pair, fine=None) for pair in pairs]
    config = AugmentationConfig(colour=0, recolour_share=1, blur_and_noise=0)
    batch = AugmentedBatches(coarse_only, table, config, CropSampling(64, 8, 0))(0)
    seen = ((batch.images[:, 0] + 1) * 127.5 / 60).round().long()
    assert set(seen.unique().tolist()) <= {0, 1, 2, 3}


def test_unknown_background_class_is_refused():
    table, pairs = position_coloured_pairs()
    with pytest.raises(ConfigError, match="'grass'"):
        AugmentedBatches(
            pairs, table, AugmentationConfig(background_class="grass"), CropSampling(32, 2, 0)
        )


def test_textures_are_painted_and_cut_from_the_images():
    photograph = np.zeros((40, 60, 3), dtype=np.uint8)
    photograph[..., 0] = 200
    bank = TextureBank(16, [photograph], np.random.default_rng(0))
    rng = np.random.default_rng(1)
    windows = [bank.draw(rng) for _ in range(40)]
    assert {window.shape for window in windows} == {(16, 16, 3)}
    flat = [window for window in windows if not window.std(axis=(0, 1)).any()]
    from_image = [window for window in flat if sorted(window[0, 0].tolist()) == [0, 0, 200]]
    assert 10 < len(from_image) < 30


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_most_likely_class_is_the_first_of_the_largest(classes, seed):
    scores = torch.randint(0, 3, (2, classes, 5, 4), generator=torch.Generator().manual_seed(seed))
    expected = scores.numpy().argmax(axis=1)
    assert np.array_equal(most_likely(scores.float()).numpy(), expected)


def test_scores_that_are_not_finite_name_a_class():
    scores = torch.full((1, 3, 2, 2), torch.nan)
    scores[0, :, 1, 1] = torch.tensor([-torch.inf, 2, -torch.inf])
    assert most_likely(scores).max() < 3
    assert most_likely(scores)[0, 1, 1] == 1
