"""Projects, snapshots and sidecars of format 1, which the first version wrote."""

import json
from dataclasses import replace

import numpy as np
import pytest

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import DataError
from c2f_core.io.maps import write_map
from c2f_core.project import Project, Status
from c2f_core.project.export import export_map, rerun
from c2f_core.project.records import Parameters
from c2f_core.project.refining import refine_image
from c2f_core.project.sidecar import Sidecar
from c2f_core.refine.scope import Scope

PAIR = synthetic_pair(48, 0)
SCOPE = {
    "box": None,
    "mask": None,
    "classes": ["disk"],
    "locked": [],
    "protected": None,
    "band": 9,
    "minimal_confidence": 0.25,
}


def record(name="face", **changes):
    """Return a record as the first version wrote it."""
    return {
        "name": name,
        "image": f"{name}.tif",
        "size": [48, 48],
        "status": "to do",
        "doubt": None,
        "model": "",
        "parameters": {"device": "cpu", "average_flips": False, "scope": SCOPE},
        "before": {"seconds": 2.5, "painted": 7},
        "after": {"seconds": 0.0, "painted": 0},
        "rejected": [],
        "kept_back": None,
    } | changes


def test_a_project_of_format_1_opens_and_is_saved_in_the_current_format(project):
    for name in ("second", "third"):
        project.add_image(PAIR.image, name)
        write_map(project.root / "drafts" / f"{name}.png", np.ones((48, 48), np.uint8), SHAPES)
    project.close()
    averaged = {"device": "cpu", "average_flips": True, "scope": SCOPE}
    records = [
        record(),
        record("second", status="refined", kept_back=False, doubt=0.5, parameters=averaged),
        record("third", status="refined", kept_back=True, rejected=[[2, 1, 5]]),
    ]
    content = {"format_version": 1, "model": "watershed", "images": records}
    file = project.root / "project.json"
    file.write_text(json.dumps(content, indent=2))
    with Project.open(project.root) as opened:
        first, second, third = opened.records
        assert (first.status, first.held_out, first.before.painted) == (Status.PENDING, None, 7)
        assert first.parameters.read_scope().band == 9
        assert (second.status, second.held_out) == (Status.REFINED, False)
        assert (third.held_out, third.rejected) == (True, ((2, 1, 5),))
        assert (opened.model, tuple(opened.skipped)) == ("watershed", ())
        refine_image(opened, "face")
    written = json.loads(file.read_text())
    assert written["format_version"] == 2
    assert [each["held_out"] for each in written["images"]] == [None, False, True]
    assert "kept_back" not in file.read_text()
    assert "average_flips" not in file.read_text()


def test_a_snapshot_of_format_1_is_restored(project):
    coarse = np.full((48, 48), 3, np.uint8)
    about = {
        "record": record(status="refined", kept_back=True),
        "class_table": SHAPES.model_dump(mode="json"),
    }
    project.close()
    file = project.root / "autosave" / "face.npz"
    maps = {"coarse": coarse, "fine": coarse + 1, "painted": coarse > 0}
    np.savez_compressed(file, about=np.array(json.dumps(about)), **maps)
    with Project.open(project.root) as opened:
        assert opened.restored == ("face",)
        work = opened.read("face")
        np.testing.assert_array_equal(work.coarse, coarse)
        np.testing.assert_array_equal(work.fine, coarse + 1)
        assert work.painted is not None
        assert (work.record.status, work.record.held_out) == (Status.REFINED, True)
    assert not file.exists()


def as_format_1(sidecar, average_flips):
    """Rewrite a sidecar as the first version would have written it."""
    content = json.loads(sidecar.read_text())
    content["format_version"] = 1
    content["parameters"]["average_flips"] = average_flips
    sidecar.write_text(json.dumps(content))


@pytest.mark.parametrize("kind", ["learned", "classical"])
def test_a_map_is_made_again_from_a_sidecar_of_format_1(project, model, tmp_path, kind):
    project.choose_model(model if kind == "learned" else "watershed")
    work = refine_image(project, "face", Parameters(scope=Scope(band=9).to_record()))
    fine = work.fine.copy()
    fine[20:24, 5:30] = 4
    project.save(replace(work, fine=fine))
    made = export_map(project, "face", tmp_path / "face.png")
    as_format_1(made.sidecar, average_flips=False)
    assert Sidecar.read(made.sidecar).format_version == 2
    assert rerun(made.sidecar, tmp_path / "b.png").read_bytes() == made.file.read_bytes()
    as_format_1(made.sidecar, average_flips=True)
    with pytest.raises(DataError, match="average_flips is on"):
        rerun(made.sidecar, tmp_path / "b.png")


def test_an_unknown_older_format_does_not_ask_for_an_update(project):
    project.close()
    file = project.root / "project.json"
    file.write_text(file.read_text().replace('"format_version": 2', '"format_version": 0'))
    with pytest.raises(DataError, match="format 0, this version reads 1 to 2") as caught:
        Project.open(project.root)
    assert "update" not in str(caught.value)
