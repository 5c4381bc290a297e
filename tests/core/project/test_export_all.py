"""Maps of all images, exported at once in the formats of other programs."""

import numpy as np
import pytest

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import DataError
from c2f_core.io.annotations import FORMATS, open_annotations
from c2f_core.io.maps import read_map
from c2f_core.project import Project
from c2f_core.project.export_all import EXPORT_FORMATS, export_all

PAIR = synthetic_pair(48, 0)
FINE = SHAPES.to_labels(PAIR.fine)


def test_all_maps_are_exported_in_every_format(project, refined, tmp_path):
    project.add_image(PAIR.image, "second")
    project.add_image(PAIR.image, "pending")
    for name in ("face", "second"):
        refined(project, name=name)
    for layout in EXPORT_FORMATS:
        shares = []
        made = export_all(project, tmp_path / layout, layout, tolerance=0, progress=shares.append)
        assert [path.stem for path in made.files] == ["face", "second"]
        assert shares[-1] == 1
        for path in made.files:
            np.testing.assert_array_equal(read_map(path, SHAPES)[0], FINE)
        assert made.message() == (
            f"Exported 2 maps to {tmp_path / layout}. Not exported: pending (no fine map yet)."
        )
        with pytest.raises(DataError, match="exists already"):
            export_all(project, tmp_path / layout, layout)
    assert list(open_annotations(tmp_path / "coco" / "face.json").images) == ["face.tif"]


def test_exported_polygons_are_simplified_by_half_a_pixel_by_default(project, refined, tmp_path):
    refined(project)
    for layout in FORMATS:
        sizes = {}
        for tolerance in ({}, {"tolerance": 0}, {"tolerance": 0.5}, {"tolerance": 2}):
            folder = tmp_path / f"{layout}-{tolerance}"
            (path,) = export_all(project, folder, layout, **tolerance).files
            sizes[tolerance.get("tolerance")] = path.stat().st_size
        assert sizes[None] == sizes[0.5]
        assert sizes[0] > sizes[0.5] > sizes[2]


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf")])
def test_an_impossible_tolerance_is_refused_before_anything_is_written(
    project, refined, tmp_path, tolerance
):
    refined(project)
    with pytest.raises(DataError, match="give the largest deviation"):
        export_all(project, tmp_path / "out", "coco", tolerance=tolerance)
    assert not (tmp_path / "out").exists()


def test_an_export_of_all_replaces_no_file_of_a_project(project, refined, tmp_path):
    refined(project)
    with Project.create(tmp_path / "other", SHAPES) as other:
        for folder in (project.root / "fine", other.root / "images", other.root / "removed" / "x"):
            with pytest.raises(DataError, match="project's own files"):
                export_all(project, folder, "png")
        assert not list((other.root / "images").iterdir())


def test_an_export_of_all_ends_when_asked(project, refined, tmp_path):
    refined(project)
    assert export_all(project, tmp_path / "out", "png", should_stop=lambda: True).files == ()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be created"):
        export_all(project, tmp_path / "file" / "out", "png")
