"""Pair datasets, splits and transforms."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from c2f_core.classes import ClassTable
from c2f_core.config import AugmentationConfig, DataConfig
from c2f_core.data.augment import TextureBank
from c2f_core.data.folder import fasseg_pairs, folder_pairs, open_pairs
from c2f_core.data.pairs import Pair, fingerprint
from c2f_core.data.splits import assign_roles, draw_validation, read_groups, read_split
from c2f_core.data.synthetic import SHAPES, SyntheticPairs, synthetic_pair
from c2f_core.data.transforms import (
    AugmentedBatches,
    ReportBatches,
    corner_crops,
    most_likely,
)
from c2f_core.errors import ConfigError, DataError
from c2f_core.io import write_map

FASSEG = ClassTable.preset("fasseg")


def save_image(path, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, dtype=np.uint8)).save(path)


def save_map(path, value=0, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_map(path, np.full(size, value, dtype=np.uint8), FASSEG)


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        save_image(tmp_path / "images" / f"{name}.png")
        save_map(tmp_path / "coarse" / f"{name}.png", 1)
    save_map(tmp_path / "fine" / "a.png", 2)
    return tmp_path


def test_folders_are_matched_by_name(folder):
    pairs = folder_pairs(folder, FASSEG)
    assert pairs.names == ["a", "b"]
    first, second = pairs
    assert (first.coarse == 1).all()
    assert (first.fine == 2).all()
    assert second.fine is None
    assert pairs.subset(["b"]).names == ["b"]


@pytest.mark.parametrize("kind", ["images", "coarse", "fine"])
def test_missing_partners_are_named(folder, kind):
    (save_image if kind == "images" else save_map)(folder / kind / "lonely.png")
    with pytest.raises(DataError, match="'lonely'"):
        folder_pairs(folder, FASSEG)


def test_size_mismatch_is_named(folder):
    save_map(folder / "coarse" / "a.png", size=(20, 31))
    with pytest.raises(DataError, match=r"a: .*\(20, 30\) and its coarse map \(20, 31\)"):
        folder_pairs(folder, FASSEG)[0]


def test_unknown_classes_are_named_with_the_file(folder):
    Image.fromarray(np.full((20, 30), 77, dtype=np.uint8)).save(folder / "coarse" / "a.png")
    with pytest.raises(DataError, match=r"a\.png: .*77 \(600 px\)"):
        folder_pairs(folder, FASSEG)[0]


def test_unknown_colours_are_reported_with_the_file(folder):
    Image.fromarray(np.full((20, 30, 3), 130, dtype=np.uint8)).save(folder / "coarse" / "a.png")
    pairs = folder_pairs(folder, FASSEG)
    assert (pairs.subset(["a"])[0].coarse == 255).all()
    assert [report.outside for report in pairs.reports.values()] == [600]
    (doubt,) = pairs.doubts()
    assert doubt.startswith("coarse/a.png: 600 of 600 pixels")


def test_two_files_of_one_name_and_missing_folders_are_refused(folder, tmp_path):
    save_image(folder / "images" / "a.bmp")
    with pytest.raises(DataError, match="keep one"):
        folder_pairs(folder, FASSEG)
    with pytest.raises(DataError, match="does not exist"):
        open_pairs(tmp_path / "none")
    with pytest.raises(DataError, match="needs a class table"):
        open_pairs(folder)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_fasseg_layout_with_blended_boundaries(tmp_path, suffix):
    colours = FASSEG.encode_colours(np.array([[0, 0, 1, 1]], dtype=np.uint8))
    colours[0, 1] = (200, 0, 0)
    for part, count in (("Train", 2), ("Test", 1)):
        for number in range(1, count + 1):
            save_image(tmp_path / "V1" / f"{part}_RGB" / f"{number}.{suffix}", (1, 4))
            for version in ("V1", "V2"):
                path = tmp_path / version / f"{part}_Labels" / f"{number}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(colours).save(path)
    pairs = open_pairs(tmp_path)
    assert pairs.names == ["Train/1", "Train/2", "Test/1"]
    assert pairs[0].coarse.tolist() == [[0, 0, 1, 1]]
    (tmp_path / "V2" / "Train_Labels" / f"2.{suffix}").unlink()
    with pytest.raises(DataError, match="fine map"):
        fasseg_pairs(tmp_path)


def test_fasseg_maps_that_hold_no_classes_are_reported(tmp_path):
    for part in ("Train", "Test"):
        save_image(tmp_path / "V1" / f"{part}_RGB" / "1.png")
        for version in ("V1", "V2"):
            save_map(tmp_path / version / f"{part}_Labels" / "1.png", 1)
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "V2" / "Train_Labels" / "1.png")
    pairs = fasseg_pairs(tmp_path)
    assert [(pair.coarse == 1).all() for pair in pairs] == [True, True]
    (doubt,) = pairs.doubts()
    assert doubt.startswith("Train_Labels/1.png: ")


def save_ids(root, folder, frame, ids):
    part, city, _ = frame.split("/")
    path = root / folder / part / city / f"{frame.split('/')[-1]}_{folder}_labelIds.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([ids], dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def cityscapes(tmp_path):
    frames = ["train/aachen/aachen_000000_000019", "train_extra/bonn/bonn_000000_000001"]
    for frame in frames:
        save_image(tmp_path / "leftImg8bit" / f"{frame}_leftImg8bit.png", (1, 4))
        save_ids(tmp_path, "gtCoarse", frame, [0, 7, 26, 33])
    save_ids(tmp_path, "gtFine", frames[0], [7, 7, 26, 9])
    save_image(tmp_path / "leftImg8bit/test/berlin/berlin_000000_000000_leftImg8bit.png", (1, 4))
    (tmp_path / "gtCoarse/train/aachen/aachen_000000_000019_gtCoarse_polygons.json").write_text("")
    return tmp_path


def test_cityscapes_layout_with_label_ids(cityscapes):
    pairs = open_pairs(cityscapes)
    assert pairs.class_table == ClassTable.preset("cityscapes")
    assert pairs.names == [
        "train/aachen/aachen_000000_000019",
        "train_extra/bonn/bonn_000000_000001",
    ]
    first, second = pairs.subset(pairs.names)
    assert first.coarse.tolist() == [[255, 0, 13, 18]]
    assert first.fine.tolist() == [[0, 0, 13, 255]]
    assert second.fine is None


def test_cityscapes_files_without_partners_are_named(cityscapes):
    path = save_ids(cityscapes, "gtCoarse", "train/aachen/aachen_000001_000019", [7])
    with pytest.raises(DataError, match="'train/aachen/aachen_000001_000019'"):
        open_pairs(cityscapes)
    path.unlink()
    Image.fromarray(np.zeros((1, 4, 3), dtype=np.uint8)).save(
        cityscapes / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    )
    with pytest.raises(DataError, match="no ids"):
        open_pairs(cityscapes)[0]
    (cityscapes / "gtCoarse").rename(cityscapes / "other")
    with pytest.raises(DataError, match="unpack both"):
        open_pairs(cityscapes)


def test_splits_are_read_by_path_and_joined(tmp_path):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"report": {"a": ["x"], "b": ["y"]}, "folds": [["z"]]}))
    assert read_split(path, "report:a+folds:0") == ["x", "z"]
    assert read_groups(path) == []
    for wrong in ("report:c", "folds:1", "report"):
        with pytest.raises(DataError):
            read_split(path, wrong)


@given(
    names=st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=20, unique=True),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_validation_is_drawn_reproducibly_and_never_parts_a_group(names, share, seed, data):
    groups = [names[: data.draw(st.integers(0, len(names) - 1))]]
    groups = [group for group in groups if group]
    train, validation = draw_validation(names, share, seed, groups)
    assert train
    assert validation
    assert sorted(train + validation) == sorted(names)
    assert all(set(group) <= set(train) or set(group) <= set(validation) for group in groups)
    assert draw_validation(names, share, seed, groups) == (train, validation)


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
    batch = AugmentedBatches(pairs, table, config, crop=64, batch_size=8, seed=0)(0)
    seen = ((batch.images[:, 0] + 1) * 127.5 / 60).round().long()
    # Bilinear boundaries differ from nearest-neighbour ones by a pixel.
    assert (seen == batch.fine).float().mean() > 0.9
    assert (batch.coarse.argmax(dim=1) == batch.fine).all()
    assert set(batch.fine.unique().tolist()) <= {0, 1, 2, 3}


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
    batch = AugmentedBatches(pairs, FASSEG, config, crop, 2, seed, evidence=[fine])(0)
    inner = interior(batch.fine)
    red, green, blue = ((batch.images + 1) * 127.5).unbind(dim=1)
    for seen in (red / 60, (240 - green) / 60, (blue - 30) / 50):
        assert (seen.round().long() == batch.fine)[inner].all()
    assert (batch.coarse.argmax(dim=1) == batch.fine).all()
    assert ((batch.evidence == batch.fine) | (batch.evidence == 255)).all()


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
    batches = AugmentedBatches(
        [Pair("noise", image, fine, fine)], FASSEG, config, 32, 16, 0, evidence=[fine]
    )
    batch = batches(0)
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
    assert (batch.evidence == coarse).all()


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
    for places in (rows, columns):
        # The fine map and the evidence number the rows, or columns, of the pair.
        pair = Pair("places", image, np.zeros_like(places), places)
        batches = AugmentedBatches([pair], FASSEG, config, 64, 16, 0, evidence=[places])
        batch = batches(0)
        shifts = batch.evidence - batch.fine
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
    batch = AugmentedBatches(pairs, table, config, 64, 8, 0)(0)
    assert (batch.fine == 255).all()
    assert batch.evidence is None
    assert batch.strong_images is None
    assert (ReportBatches(pairs, 4, batch_size=4, seed=0)(0).fine == 255).all()


def test_evidence_follows_the_coarse_map():
    table, pairs = position_coloured_pairs()
    evidence = [pair.coarse for pair in pairs]
    config = AugmentationConfig(wide_scale_share=0, scale=(1.3, 1.3), coarse_erase_share=1)
    batch = AugmentedBatches(pairs, table, config, 48, 8, 0, evidence=evidence)(0)
    coarse = batch.coarse.argmax(dim=1).where(batch.coarse.sum(dim=1) > 0, 255)
    assert batch.evidence.dtype == torch.int64
    known = batch.evidence != 255
    assert known.any()
    assert (coarse == batch.evidence)[known].all()
    assert not known[coarse == 255].any()


def test_evidence_says_nothing_outside_and_on_painted_background():
    table, pairs = position_coloured_pairs()
    evidence = [np.full_like(pair.coarse, 7) for pair in pairs]
    base = {"coarse_shift": 0, "coarse_distortion": 0, "coarse_erase_share": 0, "rotation": 0}

    def draw(**settings):
        config = AugmentationConfig(**base, **settings)
        return AugmentedBatches(pairs, table, config, 90, 4, 0, evidence=evidence)(0)

    share = (draw(wide_scale_share=1, wide_scale=(0.5, 0.5)).evidence == 7).float().mean()
    assert 0.05 < share < 0.27
    painted = draw(wide_scale_share=0, background_class="sky", background_share=1)
    assert (painted.evidence[painted.fine == 0] == 255).all()
    assert (painted.evidence[painted.fine != 0] == 7).all()


def test_evidence_has_to_fit_the_pairs():
    table, pairs = position_coloured_pairs()
    for evidence in ([pairs[0].coarse], [pairs[0].coarse, pairs[1].coarse[1:]]):
        with pytest.raises(ValueError):  # noqa: PT011
            AugmentedBatches(pairs, table, AugmentationConfig(), 32, 2, 0, evidence=evidence)


def test_strong_views_share_everything_but_their_colours():
    table, pairs = position_coloured_pairs()

    def draw(strong):
        config = AugmentationConfig(background_class="sky")
        return AugmentedBatches(pairs, table, config, 64, 4, 0, strong=strong)(1)

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
    evidence = [pair.coarse for pair in pairs]
    config = AugmentationConfig()
    batches = AugmentedBatches(pairs, table, config, 32, 2, 0, evidence=evidence, strong=config)
    moved = batches(0).to(torch.device("meta"))
    assert all(getattr(moved, field.name).is_meta for field in dataclasses.fields(moved))


def test_augmentation_depends_on_seed_and_step_only():
    table, pairs = position_coloured_pairs()
    config = AugmentationConfig(background_class="sky", blur_and_noise=0.5)

    def draw(step, seed=0):
        return AugmentedBatches(pairs, table, config, 32, 2, seed)(step).images

    torch.testing.assert_close(draw(3), draw(3), rtol=0, atol=0)
    assert not torch.equal(draw(3), draw(4))
    assert not torch.equal(draw(3), draw(3, seed=1))


def test_erased_coarse_pixels_are_the_zero_vector():
    table, pairs = position_coloured_pairs()
    config = AugmentationConfig(coarse_erase_share=1)
    coarse = AugmentedBatches(pairs, table, config, 64, 8, 0)(0).coarse
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
    batch = AugmentedBatches(pairs, table, config, 80, 4, 0)(0)
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
    batch = AugmentedBatches([pair], table, config, 64, 60, 0)(0)
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
    batch = AugmentedBatches(coarse_only, table, config, 64, 8, 0)(0)
    seen = ((batch.images[:, 0] + 1) * 127.5 / 60).round().long()
    assert set(seen.unique().tolist()) <= {0, 1, 2, 3}


def test_unknown_background_class_is_refused():
    table, pairs = position_coloured_pairs()
    with pytest.raises(ConfigError, match="'grass'"):
        AugmentedBatches(pairs, table, AugmentationConfig(background_class="grass"), 32, 2, 0)


def test_synthetic_pairs_are_reproducible_and_coarse():
    pairs = SyntheticPairs(2, 96, seed=5)
    assert (pairs.names, len(pairs), pairs.class_table) == (["shapes-5", "shapes-6"], 2, SHAPES)
    assert fingerprint([pairs[0]]) == fingerprint([synthetic_pair(96, 5)])
    assert fingerprint([pairs[0]]) != fingerprint([pairs[1]])
    agreement = (pairs[0].coarse == pairs[0].fine).mean()
    assert 0.7 < agreement < 0.995


def test_textures_are_painted_and_cut_from_the_images():
    photograph = torch.zeros(3, 40, 60, dtype=torch.uint8)
    photograph[0] = 200
    bank = TextureBank(16, [photograph], np.random.default_rng(0))
    rng = np.random.default_rng(1)
    windows = [bank.draw(rng) for _ in range(40)]
    assert {tuple(window.shape) for window in windows} == {(3, 16, 16)}
    flat = [window for window in windows if (window.std(dim=(1, 2)) < 1e-6).all()]
    from_image = [window for window in flat if window.max() == pytest.approx(200 / 255, abs=0.01)]
    assert 10 < len(from_image) < 30


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_most_likely_class_is_the_first_of_the_largest(classes, seed):
    scores = torch.randint(0, 3, (2, classes, 5, 4), generator=torch.Generator().manual_seed(seed))
    expected = scores.numpy().argmax(axis=1)
    assert np.array_equal(most_likely(scores.float()).numpy(), expected)


def test_few_fine_maps_are_those_of_many_persons(tmp_path):
    splits = tmp_path / "splits.json"
    lists = {"train": list("abcde"), "test": ["t"], "same_person": [["a", "b"], ["c", "e"]]}
    splits.write_text(json.dumps(lists))

    def roles(fine_maps, without=""):
        settings = {"root": tmp_path, "splits": splits, "validation": "test"}
        config = DataConfig(**settings, fine_maps=fine_maps)
        return assign_roles(config, 0, list("abcdet"), lambda name: name != without)

    assert [roles(number).train for number in (2, 3)] == [list("ac"), list("acd")]
    assert roles(2).coarse_only == list("bde")
    assert roles(None).train == list("abcde")
    assert roles(3, without="c").train == list("ade")
