"""The commands of docs/cityscapes.md, for a few steps on a tree of the published structure."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from c2f_core.classes.table import ClassTable
from c2f_core.cli import evaluate, refine, train
from c2f_core.io.formats.cityscapes import VOID
from c2f_core.io.label_ids import IGNORED_IDS, LABEL_IDS
from c2f_core.io.maps import read_map

PAGE = Path(__file__).parents[3] / "docs" / "cityscapes.md"
SIZE = (96, 64)
FRAMES = {
    "train/aachen": range(4),
    "train/bochum": range(2),
    "train_extra/augsburg": range(3),
    "val/frankfurt": range(2),
    "val/lindau": range(1),
}
EGO_VEHICLE, ROAD, BUILDING, SKY, CAR = 1, 7, 11, 23, 26
NAMES = {EGO_VEHICLE: "ego vehicle", ROAD: "road", BUILDING: "building", SKY: "sky", CAR: "car"}
SMALL = {
    "c2f-train": "--network.widths 8 16 --crop 32 --batch-size 2 --steps 2 --stage2.steps 2 "
    "--validate-every 2 --discriminator.widths 4 8 --stage2.coarse-only-batch-size 2 --device cpu",
    "c2f-refine": "--device cpu",
    "c2f-evaluate": "--device cpu --no-classical",
}
COMMANDS = {"c2f-train": train.main, "c2f-refine": refine.main, "c2f-evaluate": evaluate.main}


def polygons(number: int, gap: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Return label ids and polygons of a street, `gap` pixels away from the boundaries."""
    width, height = SIZE
    left = 20 + 8 * number
    return [
        (SKY, [(0, 0), (width, 0), (width, 20 - gap), (0, 20 - gap)]),
        (BUILDING, [(0, 20 + gap), (width, 20 + gap), (width, 40 - gap), (0, 40 - gap)]),
        (ROAD, [(0, 40 + gap), (width, 40 + gap), (width, 58), (0, 58)]),
        (CAR, [(left + gap, 34), (left + 16 - gap, 34), (left + 16 - gap, 46), (left + gap, 46)]),
        (EGO_VEHICLE, [(0, 59), (width, 59), (width, height), (0, height)]),
    ]


def write_maps(root: Path, kind: str, frame: str, number: int, gap: int) -> None:
    """Write label ids and polygons of a frame, as the archives contain them."""
    path = root / kind / f"{frame}_{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    label_ids = Image.new("L", SIZE)
    objects = []
    for label_id, points in polygons(number, gap):
        ImageDraw.Draw(label_ids).polygon(points, label_id)
        objects.append({"label": NAMES[label_id], "polygon": points})
    label_ids.save(f"{path}_labelIds.png")
    document = {"imgHeight": SIZE[1], "imgWidth": SIZE[0], "objects": objects}
    Path(f"{path}_polygons.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "cityscapes"
    random = np.random.default_rng(0)
    for folder, numbers in FRAMES.items():
        for number in numbers:
            frame = f"{folder}/{folder.split('/')[1]}_{number:06}_000019"
            write_maps(root, "gtCoarse", frame, number, gap=3)
            if not folder.startswith("train_extra"):
                write_maps(root, "gtFine", frame, number, gap=0)
            image = root / "leftImg8bit" / f"{frame}_leftImg8bit.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(image)
    return root


def blocks_of_page(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def commands_of_page() -> list[list[str]]:
    """Return the c2f commands of the page, in order."""
    lines = "".join(blocks_of_page("bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line)) and words[0] in COMMANDS]


@pytest.fixture(scope="module")
def done(cityscapes: Path) -> Path:
    """Folder in which the whole page was followed."""
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.chdir(cityscapes.parent)
        for block in blocks_of_page("python"):
            exec(compile(block, str(PAGE), "exec"), {})
        for name, *flags in commands_of_page():
            with pytest.raises(SystemExit) as ended:
                COMMANDS[name]([*flags, *shlex.split(SMALL[name])])
            assert not ended.value.code, (name, flags)
    return cityscapes.parent


def test_every_method_is_trained_as_the_page_says(done: Path) -> None:
    assert {words[0] for words in commands_of_page()} == COMMANDS.keys()
    for run in ("model1", "model2/stage1", "model2/stage2"):
        assert (done / "runs" / run / "best.safetensors").exists()
    record = json.loads((done / "runs/model2/stage2/data.json").read_text())
    assert "train_extra/augsburg/augsburg_000000_000019" in json.dumps(record)


def test_refined_maps_are_what_the_evaluation_script_takes(done: Path, cityscapes: Path) -> None:
    for fine in sorted((cityscapes / "gtFine" / "val").glob("*/*_labelIds.png")):
        frame = fine.name.removesuffix("_gtFine_labelIds.png")
        (written,) = (done / "results").rglob(f"{frame}*.png")  # It refuses more than one.
        refined, truth = (np.array(Image.open(path)) for path in (written, fine))
        assert (refined.dtype, refined.shape) == (np.uint8, truth.shape)
        assert set(np.unique(refined)) <= {0, *LABEL_IDS, EGO_VEHICLE}
        assert (refined[60:] == EGO_VEHICLE).all()  # Not filled in with a class.


def test_refined_maps_can_be_trained_on_in_the_place_of_fine_ones(done: Path) -> None:
    written = sorted((done / "refined" / "gtFine" / "train_extra").glob("*/*_gtFine_labelIds.png"))
    assert len(written) == len(FRAMES["train_extra/augsburg"])
    assert (done / "runs" / "plain" / "best.safetensors").exists()


@pytest.mark.parametrize(
    ("style", "ending", "shape"),
    [("index", "labelTrainIds", SIZE[::-1]), ("colour", "color", (*SIZE[::-1], 3))],
)
def test_train_ids_and_colours_have_the_names_of_the_dataset(
    cityscapes: Path, tmp_path: Path, style: str, ending: str, shape: tuple[int, ...]
) -> None:
    images, coarse = (str(cityscapes / kind / "val") for kind in ("leftImg8bit", "gtCoarse"))
    output = ["--output", str(tmp_path), "--model", "watershed", "--style", style]
    with pytest.raises(SystemExit) as ended:
        refine.main([images, coarse, *output])
    assert not ended.value.code
    path = tmp_path / "frankfurt" / f"frankfurt_000000_000019_gtFine_{ending}.png"
    with Image.open(path) as written:
        assert np.array(written).shape == shape
    table = ClassTable.preset("cityscapes")
    labels, report = read_map(path, table)
    assert not report.message()
    assert labels[5, 5] == table.names.index("sky")


def test_ignored_ids_are_those_of_the_labels_that_are_not_evaluated() -> None:
    assert len(IGNORED_IDS) == len(VOID)
    assert not {*IGNORED_IDS} & {*LABEL_IDS}
