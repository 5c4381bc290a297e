"""`c2f-evaluate` and the comparison behind it."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c2f_core.classes.table import ClassTable
from c2f_core.cli.evaluate import main
from c2f_core.config.settings import ClassAgnosticConfig, NetworkConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import ClassTableError, DataError
from c2f_core.experiments.evaluation import REFERENCE, evaluate, summary_rows
from c2f_core.io.maps import write_map
from c2f_core.io.tables import markdown_table, write_csv
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, ClassAgnosticMetadata, RecordedConfig
from c2f_core.networks.class_agnostic import ClassAgnosticNetwork
from c2f_core.networks.unet import build_generator
from c2f_core.refine.classical import WatershedRefiner


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for kind in ("images", "coarse", "fine"):
        (root / kind).mkdir(parents=True)
    for seed in range(2):
        pair = synthetic_pair(64, seed)
        Image.fromarray(pair.image).save(root / "images" / f"{seed}.png")
        write_map(root / "coarse" / f"{seed}.png", SHAPES.to_labels(pair.coarse), SHAPES)
        write_map(root / "fine" / f"{seed}.png", SHAPES.to_labels(pair.fine), SHAPES)
    (tmp_path / "shapes.json").write_text(SHAPES.model_dump_json())
    (tmp_path / "splits.json").write_text('{"some": {"test": ["1"]}}')
    return root


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    config = RecordedConfig(network=NetworkConfig(widths=(8, 12)), colour_weight=0.0)
    generator = build_generator(config.architecture, SHAPES.number_of_classes)
    save_checkpoint(path, generator, CheckpointMetadata(config=config, class_table=SHAPES))
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_two_models_and_the_classical_refiners(data: Path, model: Path, capsys, tmp_path) -> None:
    table, text = tmp_path / "out.csv", tmp_path / "out.md"
    code = run(model, model, data, "--per-image", "--device", "cpu",
               "--csv", table, "--markdown", text)  # fmt: skip
    assert code == 0
    assert "Scores (%)" in capsys.readouterr().out
    rows = read_csv(table)
    methods = [REFERENCE, "instant", "watershed", "random walker", "tiny", "tiny"]
    assert [row["method"] for row in rows if row["image"] == "all"] == methods
    assert [row["method"] for row in rows if row["image"] == "1"] == methods
    assert rows[0]["calibration error"] == ""
    assert 0 <= float(rows[3]["calibration error"]) <= 1
    assert text.read_text(encoding="utf-8").count("## ") == 3


def test_models_for_any_classes_are_scored_in_the_classes_of_the_data(
    data: Path, model: Path, tmp_path: Path
) -> None:
    shape = ClassAgnosticConfig(class_widths=(4, 4, 4, 4), detail_width=4, key_width=4)
    config = RecordedConfig(method="any", class_agnostic=shape)
    anything, table = tmp_path / "any.safetensors", tmp_path / "out.csv"
    metadata = ClassAgnosticMetadata(config=config)
    save_checkpoint(anything, ClassAgnosticNetwork(shape), metadata)
    options = ("--device", "cpu", "--no-classical", "--csv", table)
    assert run(anything, model, data, *options) == 0
    assert [row["method"] for row in read_csv(table)] == [REFERENCE, "any", "tiny"]
    shapes = ("--class-table", tmp_path / "shapes.json")
    assert run(anything, data, *shapes, *options) == 0
    assert float(read_csv(table)[1]["pixel accuracy"]) > 0.5


def test_models_of_the_same_file_name_are_distinguished(data: Path, model: Path, tmp_path) -> None:
    places = ("a", "b", "b/stage1", "b/stage2")
    models = [tmp_path / place / "best.safetensors" for place in places]
    for path in models:
        path.parent.mkdir()
        shutil.copy(model, path)
    table, text = tmp_path / "out.csv", tmp_path / "out.md"
    files = ("--csv", table, "--markdown", text)

    assert run(*models[:2], model, data, "--no-classical", "--device", "cpu", *files) == 0
    names = ["a: best", "b: best", "tiny"]
    assert [row["method"] for row in read_csv(table)] == [REFERENCE, *names]
    assert all(f"| {name} |" in text.read_text(encoding="utf-8") for name in names)

    assert run(models[0], *models[2:], data, "--no-classical", "--device", "cpu", *files) == 0
    names = ["a: best", *map(str, models[2:])]
    assert [row["method"] for row in read_csv(table)] == [REFERENCE, *names]


def test_a_split_chooses_pairs(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    code = run(data, "--class-table", tmp_path / "shapes.json", "--csv", table, "--no-classical",
               "--split", f"{tmp_path / 'splits.json'}:some:test")  # fmt: skip
    assert code == 0
    (row,) = read_csv(table)
    assert row["images"] == "1"


def test_colours_outside_the_class_table_are_reported(data: Path, capsys) -> None:
    path = data / "fine" / "1.png"
    colours = np.array(Image.open(path).convert("RGB"))
    colours[3, 4] = (255, 0, 255)
    Image.fromarray(colours).save(path)
    table = data.parent / "shapes.json"
    assert run(data, "--class-table", table, "--no-classical") == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: fine/1.png: 1 of 4096 pixels")
    assert "row 3, column 4" in warnings[0]


def test_maps_of_another_class_table_are_reported_if_nothing_is_left_to_score(
    data: Path, capsys
) -> None:
    for path in (data / "fine").iterdir():
        Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(path)
    table = data.parent / "shapes.json"
    assert run(data, "--class-table", table, "--no-classical") == 2
    *warnings, error = capsys.readouterr().err.splitlines()
    assert [line.startswith("warning: fine/") for line in warnings] == [True, True]
    assert error.startswith("error: fine/0.png: 4096 of 4096 pixels")
    assert "drawn with another class table; choose that table" in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("missing",), "does not exist"),
        (("unknown-model", "missing"), "no bundled model"),
        (("missing", "--csv", "no/such/folder.csv"), "existing folder"),
    ],
)
def test_one_sentence_for_what_is_wrong(arguments, sentence: str, capsys) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr().err
    assert sentence in captured
    assert "Traceback" not in captured


class PairList(list):
    """Pairs in memory."""

    class_table = SHAPES


def test_reference_scores_the_coarse_map() -> None:
    pairs = PairList([synthetic_pair(48, seed) for seed in (0, 1)])
    reference, watershed = evaluate([WatershedRefiner(SHAPES)], pairs)
    expected = np.mean([(pair.coarse == pair.fine).mean() for pair in pairs])
    row = summary_rows([reference], SHAPES.names)[0]
    assert row["pixel accuracy"] == pytest.approx(expected)
    assert row["damage"] == row["gain"] == row["images made worse"] == 0
    assert 0 <= watershed.calibration_error <= 1


def test_other_classes_are_refused() -> None:
    with pytest.raises(ClassTableError, match="has the classes"):
        evaluate([WatershedRefiner(ClassTable.preset("fasseg"))], PairList([synthetic_pair(32)]))


def test_a_pair_in_which_nothing_is_drawn_ends_no_evaluation() -> None:
    pair = synthetic_pair(48)
    blank = replace(pair, name="blank", coarse=np.full_like(pair.coarse, 255))
    evaluations = evaluate([WatershedRefiner(SHAPES)], PairList([pair, blank]))
    assert evaluations[1].images == [pair.name, "blank"]


def test_tables_read_well_and_nothing_is_lost(tmp_path: Path) -> None:
    row = {"method": "a|b", "images": 3, "mIoU": 0.5, "mBA": float("nan")}
    assert markdown_table([row]).splitlines()[-1] == "| a\\|b | 3 | 50.00 | – |"
    with pytest.raises(DataError, match="nothing to write"):
        write_csv(tmp_path / "out.csv", [])
    assert not list(tmp_path.iterdir())
