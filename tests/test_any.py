"""The page of the benchmark on any images is made of its records; its coarse maps are fair."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from c2f_core.classes.table import UNLABELLED_ID

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
WRONG = {
    ("leaves", "coarse"): (20, 20),
    ("leaves", "instant"): (10, 0),
    ("leaves", "watershed"): (40, 20),
    ("nuclei", "coarse"): (20, 20),
    ("nuclei", "instant"): (24, 8),
}
"""Wrong pixels of 100 in two images, by set and method."""


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return import_module("any_pages")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return import_module("any")


def row(pages, data_set, method, number, wrong):
    reference = WRONG[data_set, "coarse"][number]
    return pages.Row(
        *(data_set, f"image{number}", ("weak", "strong")[number], method),
        *(1 - wrong / 100, 0.5, 0.5, 0.01, wrong > reference, 1.0),
        [50 - wrong, wrong, 0, 0, 50, 0],
    )


@pytest.fixture
def records(pages):
    found = pages.Records(seed=0, hardware="a machine", date="2026-11-30")
    found.add(
        row(pages, data_set, method, number, wrong)
        for (data_set, method), both in WRONG.items()
        for number, wrong in enumerate(both)
    )
    return found


def line(page, start, after):
    """Cells of the first line after a heading that begins with a name."""
    section = page.split(after)[1]
    (found, *_) = [each for each in section.splitlines() if each.startswith(f"| {start} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_the_summary_counts_images_and_averages_sets(pages, records):
    page = pages.page_of(records)
    instant = line(page, "instant", "## All sets")
    assert instant[1] == "1 of 4 (25.0 %)"
    assert instant[3] == "47.5"  # Of 75 % in leaves and 20 % in nuclei.
    watershed = line(page, "watershed", "## All sets")
    assert watershed[1] == "1 of 2 (50.0 %)"
    assert watershed[3] == "-50.0"


def test_methods_measured_on_fewer_images_are_named(pages, records):
    assert "fewer than 4 maps, and compared with those: *watershed* (2)" in pages.page_of(records)


def test_maps_that_all_methods_refined_are_compared(pages, records):
    page = pages.page_of(records)
    assert "On the 2 maps that all methods refined" in page
    assert line(page, "instant", "On the 2 maps")[3] == "75.0"


def test_each_set_and_strength_has_its_losses(pages, records):
    page = pages.page_of(records)
    assert line(page, "nuclei", "## Error removed")[1:] == ["20.0 (1 of 2)", "–"]
    assert line(page, "instant", "By strength")[1:] == ["15.0 (1 of 2)", "80.0 (0 of 2)"]
    losses = page.split("## What got worse")[1].split("##")[0]
    assert "- **instant**: nuclei: 1 of 2 maps." in losses


def test_a_lower_miou_is_named(pages, records):
    worse = pages.Row(*row(pages, "nuclei", "instant", 1, 20)[:-1], [50, 0, 0, 26, 24, 0])
    records.add([worse])
    assert "mIoU from" in pages.page_of(records).split("## What got worse")[1].split("##")[0]


def test_records_survive_writing(pages, records, tmp_path):
    records.write(tmp_path / "any.json")
    read = pages.Records.read(tmp_path / "any.json")
    assert read == records
    assert pages.page_of(read) == pages.page_of(records)


def test_all_measurements_have_one_seed(pages, records):
    with pytest.raises(SystemExit, match="seed 0"):
        records.describe(1, "", "")


def test_redrawn_maps_are_near_and_complete(script):
    fine = np.zeros((120, 120), np.uint8)
    fine[20:100, 30:90] = 1
    fine[50:70, 50:70] = 2
    fine[:3] = UNLABELLED_ID
    coarse = script.redrawn(fine, 4.0, np.random.default_rng(0))
    assert set(np.unique(coarse)) == {0, 1, 2}
    wrong = (coarse != fine)[3:].mean()
    assert 0.005 < wrong < 0.1
    assert np.array_equal(coarse, script.redrawn(fine, 4.0, np.random.default_rng(0)))


def test_the_largest_united_regions_stay_apart(script):
    regions = np.repeat(np.arange(10, dtype=np.uint8), 10).reshape(10, 10)
    regions[0, 0] = UNLABELLED_ID
    classes = script.united(regions, 3)
    assert classes[0, 0] == UNLABELLED_ID
    assert classes[0, 1] != classes[1, 1]
    assert 2 <= len(np.unique(classes[classes != UNLABELLED_ID])) <= 5


def test_grabcut_moves_a_boundary_to_the_edge(script):
    random = np.random.default_rng(0)
    rgb = random.integers(20, 60, (80, 80, 3), dtype=np.uint8)
    rgb[20:60, 20:60] += 150
    fine = (rgb[..., 0] > 100).astype(np.uint8)
    coarse = np.zeros_like(fine)
    coarse[24:64, 17:57] = 1
    refined = script.grabcut(rgb, coarse, None)
    assert (refined != fine).sum() < (coarse != fine).sum() / 4


def test_a_network_may_be_limited_to_sets(script):
    assert script.parse_model("any, left out=a/b.safetensors:x,y") == (
        "any, left out",
        "a/b.safetensors",
        ("x", "y"),
    )
    assert script.parse_model("any=any.safetensors") == ("any", "any.safetensors", ())
