"""`c2f-refine` on files and folders, and what it refuses."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable
from c2f_core.cli.refine import main
from c2f_core.config.settings import ClassAgnosticConfig, NetworkConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.geometry import arrays
from c2f_core.io import scratch
from c2f_core.io.atomic import atomic_path, atomic_paths
from c2f_core.io.maps import read_map, write_map
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, ClassAgnosticMetadata, RecordedConfig
from c2f_core.networks.class_agnostic import ClassAgnosticNetwork
from c2f_core.networks.unet import build_generator
from c2f_core.refine.classical import WatershedRefiner
from c2f_core.refine.interface import RefineResult
from c2f_core.refine.learned import Refiner
from c2f_core.refine.scope import Scope
from c2f_core.refine.within import refine_within

TABLE = ClassTable.preset("fasseg")


KEEP_ALL = (
    "--care", "model", "--smallest-region", "0", "--smallest-hole", "0", "--smallest-spur", "0",
)  # fmt: skip
"""Options that keep all changes of a refiner."""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    config = RecordedConfig(network=NetworkConfig(widths=(8, 12)), colour_weight=0.0)
    torch.manual_seed(0)
    generator = build_generator(config.architecture, TABLE.number_of_classes)
    save_checkpoint(path, generator, CheckpointMetadata(config=config, class_table=TABLE))
    return path


def write_pair(folder: Path, stem: str, size: tuple[int, int] = (24, 32)) -> tuple[Path, Path]:
    random = np.random.default_rng(len(stem))
    image, coarse = folder / "images" / f"{stem}.png", folder / "coarse" / f"{stem}.png"
    for path in (image, coarse):
        path.parent.mkdir(exist_ok=True)
    Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(image)
    write_map(coarse, random.integers(0, 6, size, dtype=np.uint8), TABLE)
    return image, coarse


@pytest.fixture
def run(model: Path, capsys: pytest.CaptureFixture[str]):
    """Run the command; return its exit status, standard output and standard error."""

    def run(
        *arguments: str | Path, device: str = "cpu", model: str | Path = model
    ) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--model", str(model), "--device", device])
        captured = capsys.readouterr()
        code = ended.value.code
        return (0 if code is None else int(code)), captured.out, captured.err

    return run


@pytest.mark.parametrize("style", ["palette", "colour", "index"])
def test_one_pair_in_each_style(run, model: Path, tmp_path: Path, style: str) -> None:
    image, coarse = write_pair(tmp_path, "a")
    fine, confidence = tmp_path / "fine.png", tmp_path / "sure.tif"
    code, out, err = run(
        image, coarse, "-o", fine, "--style", style, "--confidence", confidence, *KEEP_ALL
    )
    assert (code, err) == (0, "")
    assert str(fine) in out
    expected = Refiner.load(model, "cpu").refine(
        np.array(Image.open(image)), read_map(coarse, TABLE)[0]
    )
    np.testing.assert_array_equal(read_map(fine, TABLE)[0], expected.labels)
    written = tifffile.imread(confidence)
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written, expected.confidence)
    with Image.open(fine) as opened:
        assert opened.mode == {"palette": "P", "colour": "RGB", "index": "L"}[style]


def test_only_what_was_asked_for_changes(run, model: Path, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    fine, confidence = tmp_path / "fine.png", tmp_path / "sure.tif"
    code, _, err = run(
        image, coarse, "-o", fine, "--confidence", confidence,
        "--band", "2", "--minimal-confidence", "0.2", "--classes", "hair", "skin", *KEEP_ALL,
    )  # fmt: skip
    assert (code, err) == (0, "")
    before = read_map(coarse, TABLE)[0]
    scope = Scope(
        band=2,
        minimal_confidence=0.2,
        classes=("hair", "skin"),
        care="model",
        smallest_region=0,
        smallest_hole=0,
        smallest_spur=0,
    )
    expected = refine_within(Refiner.load(model, "cpu"), np.array(Image.open(image)), before, scope)
    after = read_map(fine, TABLE)[0]
    assert (after != before).any()
    np.testing.assert_array_equal(after, expected.labels)
    np.testing.assert_array_equal(tifffile.imread(confidence), expected.confidence)


def write_shapes(folder: Path, *, carries_table: bool) -> tuple[Path, Path, RefineResult]:
    """Write a synthetic pair, and return the map that the watershed refines from it."""
    pair = synthetic_pair(64)
    image, coarse = folder / "scene.png", folder / "map.png"
    Image.fromarray(pair.image).save(image)
    indices = SHAPES.to_labels(pair.coarse)
    if carries_table:
        write_map(coarse, indices, SHAPES)
    else:
        Image.fromarray(indices).save(coarse)
    return image, coarse, WatershedRefiner(SHAPES).refine(pair.image, indices)


def test_classical_refiners_take_the_table_of_the_map(run, tmp_path: Path) -> None:
    image, coarse, expected = write_shapes(tmp_path, carries_table=True)
    fine, confidence = tmp_path / "fine.png", tmp_path / "sure.tif"
    code, _, err = run(
        image, coarse, "-o", fine, "--confidence", confidence, *KEEP_ALL, model="watershed"
    )
    assert (code, err) == (0, "")
    np.testing.assert_array_equal(read_map(fine, SHAPES)[0], expected.labels)
    np.testing.assert_array_equal(tifffile.imread(confidence), expected.confidence)


def test_classical_refiners_take_the_table_that_is_named(run, tmp_path: Path) -> None:
    image, coarse, expected = write_shapes(tmp_path, carries_table=False)
    fine, table = tmp_path / "fine.png", tmp_path / "shapes.json"
    table.write_text(SHAPES.model_dump_json())
    assert run(
        image, coarse, "-o", fine, "--class-table", table, model="random walker"
    )[0] == 0  # fmt: skip
    assert run(
        image, coarse, "-o", fine, "--class-table", table, "--overwrite", *KEEP_ALL,
        model="watershed"
    )[0] == 0  # fmt: skip
    np.testing.assert_array_equal(read_map(fine, SHAPES)[0], expected.labels)


@pytest.mark.parametrize("carries_table", [True, False])
def test_models_for_any_classes_take_the_table_of_the_map_or_the_named_one(
    run, tmp_path: Path, carries_table: bool
) -> None:
    shape = ClassAgnosticConfig(class_widths=(4, 4, 4, 4), detail_width=4, key_width=4)
    metadata = ClassAgnosticMetadata(config=RecordedConfig(method="any", class_agnostic=shape))
    model = tmp_path / "own.safetensors"
    save_checkpoint(model, ClassAgnosticNetwork(shape), metadata)
    image, coarse, _ = write_shapes(tmp_path, carries_table=carries_table)
    fine, table = tmp_path / "fine.png", tmp_path / "shapes.json"
    table.write_text(SHAPES.model_dump_json())
    named = () if carries_table else ("--class-table", table)
    code, _, err = run(image, coarse, "-o", fine, *named, *KEEP_ALL, model=model)
    assert (code, err) == (0, "")
    labels, _ = read_map(coarse, SHAPES)
    expected = Refiner.load(model, "cpu", class_table=SHAPES).refine(
        np.array(Image.open(image)), labels
    )
    np.testing.assert_array_equal(read_map(fine, SHAPES)[0], expected.labels)


def test_missing_and_superfluous_class_tables_are_named(run, tmp_path: Path) -> None:
    image, coarse, _ = write_shapes(tmp_path, carries_table=False)
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(coarse)
    fine = tmp_path / "fine.png"
    refused(run(image, coarse, "-o", fine, model="watershed"), coarse, "--class-table")
    refused(run(image, coarse, "-o", fine, "--class-table", "camvid"), "--class-table")
    assert not fine.exists()


def test_impossible_scopes_are_named(run, tmp_path: Path) -> None:
    pair, fine = write_pair(tmp_path, "a"), tmp_path / "fine.png"
    refused(run(*pair, "-o", fine, "--minimal-confidence", "80"), "80", "from 0 to 1")
    refused(run(*pair, "-o", fine, "--band", "0"), "0 px")
    refused(run(*pair, "-o", fine, "--classes", "beard"), "'beard'", "hair")
    assert not fine.exists()


def test_impossible_tolerances_are_named(run, tmp_path: Path) -> None:
    pair, fine = write_pair(tmp_path, "a"), tmp_path / "fine.png"
    for tolerance in ("-5", "nan"):
        refused(run(*pair, "-o", fine, "--tolerance", tolerance), tolerance, "0 or more")
    assert not fine.exists()


def test_folders_are_matched_by_name(run, tmp_path: Path) -> None:
    sizes = {"a": (24, 32), "bb": (7, 9), "ccc": (40, 8)}
    for stem, size in sizes.items():
        write_pair(tmp_path, stem, size)
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    code, _, err = run(
        tmp_path / "images", tmp_path / "coarse",
        "--output", tmp_path / "new" / "fine", "--confidence", tmp_path / "sure",
    )  # fmt: skip
    assert (code, err) == (0, "")
    for stem, size in sizes.items():
        assert read_map(tmp_path / "new" / "fine" / f"{stem}.png", TABLE)[0].shape == size
        assert tifffile.imread(tmp_path / "sure" / f"{stem}.tif").shape == size


def refused(result: tuple[int, str, str], *parts: str | Path) -> None:
    """Check that a run ended with one sentence that names these parts."""
    code, out, err = result
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for part in parts:
        assert str(part) in err


def test_nothing_is_overwritten_unasked(run, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    fine, confidence = tmp_path / "fine.png", tmp_path / "sure.tif"
    fine.write_bytes(b"hand work")
    refused(run(image, coarse, "-o", fine), fine, "--overwrite")
    assert fine.read_bytes() == b"hand work"
    confidence.write_bytes(b"older")
    other = tmp_path / "other.png"
    refused(run(image, coarse, "-o", other, "--confidence", confidence), confidence)
    assert not other.exists()
    assert run(image, coarse, "-o", fine, "--overwrite")[0] == 0
    assert read_map(fine, TABLE)[0].shape == (24, 32)


def test_an_interrupted_folder_is_resumed(run, tmp_path: Path) -> None:
    for stem in "abcd":
        write_pair(tmp_path, stem)
    fine, confidence = tmp_path / "fine", tmp_path / "confidence"
    call = (tmp_path / "images", tmp_path / "coarse", "-o", fine, "--confidence", confidence)
    assert run(*call)[0] == 0
    complete = {path: path.read_bytes() for path in (*fine.iterdir(), *confidence.iterdir())}
    (fine / "a.png").unlink()  # As if the process had been killed between two files.
    (confidence / "b.tif").unlink()
    for path in (fine / "d.png", confidence / "d.tif"):
        path.unlink()
    before = {path: path.stat().st_ino for path in (fine / "c.png", confidence / "c.tif")}
    refused(run(*call), "--overwrite", "--resume")
    refused(run(*call, "--resume", "--overwrite"), "give one")
    code, out, _ = run(*call, "--resume")
    assert code == 0
    assert out.splitlines() == [f"Wrote 3 fine maps to {fine}", "1 existed already."]
    assert {path: path.read_bytes() for path in complete} == complete
    assert {path: path.stat().st_ino for path in before} == before
    code, out, _ = run(*call, "--resume")
    assert (code, out) == (0, f"Nothing to do: all of {fine} exists.\n")


def test_temporaries_of_a_killed_call_are_deleted_and_those_of_others_stay(
    run, tmp_path: Path
) -> None:
    image, coarse = write_pair(tmp_path, "a")
    fine = tmp_path / "fine.png"
    with ExitStack() as killed:  # Its files are there until it is closed.
        (outer,) = killed.enter_context(atomic_paths(fine))
        inner = killed.enter_context(atomic_path(outer))
        other = killed.enter_context(atomic_path(tmp_path / "other.png"))
        assert run(image, coarse, "-o", fine, "--resume")[0] == 0
        assert [each.exists() for each in (outer, inner, other)] == [False, False, True]
        outer.touch()  # So that the stack can be closed.
        inner.touch()


def test_resuming_a_single_pair_keeps_its_map(run, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    fine = tmp_path / "fine.png"
    assert run(image, coarse, "-o", fine, "--resume")[0] == 0
    fine.write_bytes(b"hand work")
    assert run(image, coarse, "-o", fine, "--resume")[0] == 0
    assert fine.read_bytes() == b"hand work"


def test_inputs_are_never_overwritten(run, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    content = coarse.read_bytes()
    refused(run(image, coarse, "-o", coarse, "--overwrite"), coarse, "another output")
    folders = tmp_path / "images", tmp_path / "coarse"
    refused(run(*folders, "-o", tmp_path / "coarse", "--overwrite"), "another output")
    assert coarse.read_bytes() == content


def test_two_outputs_need_two_names(run, tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "a")
    both = tmp_path / "both.tif"
    refused(run(*pair, "-o", both, "--confidence", both), both, "twice")


def test_missing_partners_are_named(run, tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    folders, fine = (tmp_path / "images", tmp_path / "coarse"), tmp_path / "fine"
    (tmp_path / "coarse" / "b.png").unlink()
    refused(run(*folders, "-o", fine), tmp_path / "coarse", "'b'")
    (tmp_path / "images" / "b.png").rename(tmp_path / "coarse" / "b.png")
    refused(run(*folders, "-o", fine), tmp_path / "images", "'b'")
    assert not fine.exists()


def test_all_pairs_are_checked_before_the_first_is_refined(run, tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    _, coarse = write_pair(tmp_path, "b")
    write_map(coarse, np.zeros((5, 5), dtype=np.uint8), TABLE)
    folders, fine = (tmp_path / "images", tmp_path / "coarse"), tmp_path / "fine"
    refused(run(*folders, "-o", fine), coarse, "24 x 32", "5 x 5")
    assert not fine.exists()
    coarse.write_bytes(coarse.read_bytes()[:50])
    refused(run(*folders, "-o", fine), coarse)
    Image.fromarray(np.full((24, 32), 77, dtype=np.uint8)).save(coarse)
    refused(run(*folders, "-o", fine), "77")
    assert not fine.exists()


def test_colours_outside_the_class_table_are_reported(run, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    colours = encode_colours(np.zeros((24, 32), dtype=np.uint8), TABLE)
    colours[3, 4] = (128, 128, 128)
    Image.fromarray(colours).save(coarse)
    fine = tmp_path / "fine.png"
    code, _, err = run(image, coarse, "-o", fine)
    assert code == 0
    assert "row 3, column 4" in err
    assert "warning" in err
    code, _, err = run(image, coarse, "-o", fine, "--overwrite", "--tolerance", "442")
    assert (code, err) == (0, "")


def test_a_map_of_another_class_table_is_refused(run, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    Image.fromarray(np.full((24, 32, 3), 128, np.uint8)).save(coarse)
    fine = tmp_path / "fine.png"
    refused(run(image, coarse, "-o", fine), coarse, "768 of 768", "another class table; choose")
    assert not fine.exists()


def test_paths_that_cannot_work_are_named(run, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    gone, fine = tmp_path / "gone.png", tmp_path / "fine.png"
    refused(run(gone, coarse, "-o", fine), gone)
    refused(run(image, tmp_path / "coarse", "-o", fine), "a folder of each")
    refused(run(image, coarse, "-o", tmp_path / "fine.jpg"), "fine.jpg", ".png")
    refused(run(image, coarse, "-o", fine, "--confidence", tmp_path / "sure.png"), ".tif")
    refused(run(image, coarse, "-o", tmp_path), tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(run(empty, empty, "-o", fine), empty, "no images")
    folders = tmp_path / "images", tmp_path / "coarse"
    refused(run(*folders, "-o", image), "is a file")
    refused(run(*folders, "-o", image / "fine"), "cannot be created")


def test_unusable_model_and_device_are_named(run, tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "a")
    refused(run(*pair, "-o", tmp_path / "fine.png", device="abacus"), "abacus")
    gone = tmp_path / "gone.safetensors"
    refused(run(*pair, "-o", tmp_path / "fine.png", model=gone), gone)
    refused(
        run(*pair, "-o", tmp_path / "fine.png", model="nothing"),
        "'nothing'", "fasseg", "instant, watershed, random walker", ".safetensors",
    )  # fmt: skip


def test_interrupt_ends_with_130(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Refiner, "refine_parts", interrupted)
    fine = tmp_path / "fine.png"
    code, _, err = run(*write_pair(tmp_path, "a"), "-o", fine)
    assert code == 130
    assert "Traceback" not in err
    assert not fine.exists()


def test_a_mask_of_0_and_255_is_warned_of(run, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    Image.fromarray(np.eye(24, 32, dtype=np.uint8) * 255).save(coarse)
    code, _, err = run(image, coarse, "-o", tmp_path / "fine.png")
    assert code == 0
    assert "a.png: the map has only the class" in err
    assert "all others are unlabelled" in err


def test_fine_maps_lie_in_the_upright_frame(run, tmp_path: Path) -> None:
    image, coarse = write_pair(tmp_path, "a")
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(image) as opened:
        opened.save(image, exif=exif)
    refused(run(image, coarse, "-o", tmp_path / "fine.png"), "EXIF orientation 6", "clockwise")
    write_map(coarse, np.rot90(read_map(coarse, TABLE)[0], -1), TABLE)
    assert run(image, coarse, "-o", tmp_path / "fine.png")[0] == 0
    assert read_map(tmp_path / "fine.png", TABLE)[0].shape == (32, 24)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("refiner", ["trained", "watershed"])
def test_large_images_are_refined_on_disk_with_the_same_result(
    run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, refiner: str
) -> None:
    pair = write_pair(tmp_path, "a", (300, 290))
    chosen = model if refiner == "trained" else refiner
    for folder in ("memory", "disk"):
        code, _, err = run(
            *pair, "-o", tmp_path / folder / f"fine{suffix}",
            "--confidence", tmp_path / folder / "sure.tif", "--band", "9", model=chosen,
        )  # fmt: skip
        assert (code, err) == (0, "")
        monkeypatch.setattr(scratch, "IN_MEMORY", 100)
        monkeypatch.setattr(arrays, "BAND", 2000)
    expected, found = (tmp_path / folder for folder in ("memory", "disk"))
    np.testing.assert_array_equal(
        read_map(found / f"fine{suffix}", TABLE)[0], read_map(expected / f"fine{suffix}", TABLE)[0]
    )
    np.testing.assert_array_equal(
        tifffile.imread(found / "sure.tif"), tifffile.imread(expected / "sure.tif")
    )
    assert sorted(file.name for file in found.iterdir()) == [f"fine{suffix}", "sure.tif"]


def test_deep_images_keep_their_limits_on_disk(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, coarse = write_pair(tmp_path, "a", (40, 30))
    image = tmp_path / "deep.tif"
    tifffile.imwrite(image, np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32))
    assert run(image, coarse, "-o", tmp_path / "memory.npy")[0] == 0
    monkeypatch.setattr(scratch, "IN_MEMORY", 100)
    assert run(image, coarse, "-o", tmp_path / "disk.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "disk.npy"), np.load(tmp_path / "memory.npy"))


def test_plain_labels_are_classes_of_any_image(run, tmp_path: Path) -> None:
    pair = synthetic_pair(64)
    image, coarse, fine = tmp_path / "scene.png", tmp_path / "map.png", tmp_path / "fine.png"
    Image.fromarray(pair.image).save(image)
    labels = np.where(pair.coarse == 0, 70, 90 + pair.coarse).astype(np.uint8)
    labels[:5] = 255
    Image.fromarray(labels).save(coarse)
    code, _, err = run(image, coarse, "-o", fine, model="instant")
    assert code == 0
    assert "name no classes, so their labels 70, 91" in err
    refined = np.array(Image.open(fine))
    assert set(np.unique(refined)) <= set(np.unique(labels)) - {255}


def test_plain_colours_are_classes_of_any_image(run, tmp_path: Path) -> None:
    pair = synthetic_pair(64)
    image, coarse, fine = tmp_path / "scene.png", tmp_path / "map.png", tmp_path / "fine.png"
    Image.fromarray(pair.image).save(image)
    colours = np.random.default_rng(0).integers(1, 250, (256, 3)).astype(np.uint8)
    Image.fromarray(colours[pair.coarse]).save(coarse)
    code, _, err = run(image, coarse, "-o", fine, "--style", "colour", model="instant")
    assert code == 0
    assert "name no classes, so their colours" in err
    refined = {tuple(colour) for colour in np.array(Image.open(fine)).reshape(-1, 3)}
    assert refined <= {tuple(colour) for colour in colours[np.unique(pair.coarse)]}
