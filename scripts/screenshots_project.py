"""Take pictures of the Project widget.

    python scripts/screenshots_project.py FOLDER

FOLDER gets project-dark.png and project-light.png. The project holds the sample, refined
by the bundled model, and parts of it. Needs a screen; xvfb-run gives one where there is none.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import QSettings, Qt
from screenshot import dock, open_viewer, read_folder, take_in_both_themes, wait_until

from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.project import Effort, Project
from c2f_core.project.refining import refine_image

DOCK_WIDTH = 560
PARTS = {
    "astronaut": (slice(0, 512), slice(0, 512)),
    "face": (slice(0, 256), slice(100, 356)),
    "left": (slice(0, 320), slice(0, 256)),
    "right": (slice(0, 320), slice(192, 448)),
    "new": (slice(64, 320), slice(64, 320)),
}
"""Windows of the sample that play the images of a project."""
EFFORTS = {"astronaut": (400, 90), "face": (150, 60), "left": (210, 45)}
"""Seconds before and after refining."""
REVIEWED = ("face", "left")


def main() -> None:
    """Make a project, open it, take the pictures."""
    output = read_folder(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        # What the widgets remember stays out of the user's own settings.
        QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, folder)
        os.chdir(folder)
        root = Path("faces")
        fill(root)
        take_pictures(root, output)


def fill(root: Path) -> None:
    """Make a project in which some images are refined, and some reviewed."""
    pair, table = astronaut_pair(), ClassTable.preset("fasseg")
    with Project.create(root, table) as project:
        project.choose_model("fasseg")
        for name, window in PARTS.items():
            work = project.read(project.add_image(pair.image[window], name).name)
            if name == "new":
                continue
            before, after = EFFORTS.get(name, (0, 0))
            record = work.record.with_effort(Effort(seconds=before, painted=97 * before))
            coarse = table.to_labels(pair.coarse[window])
            project.save(replace(work, record=record, coarse=coarse))
            work = refine_image(project, name)
            record = work.record.with_effort(Effort(seconds=after, painted=11 * after))
            project.save(replace(work, record=record))
            if name in REVIEWED:
                project.review(name)


def take_pictures(root: Path, output: Path) -> None:
    """Open the project in the widget, and take a picture in each theme."""
    viewer = open_viewer()
    widget = dock(viewer, "Project", DOCK_WIDTH)
    widget.folder.setValue(root)
    widget.open_button.click()
    widget.images.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    widget.images.table.setValue("astronaut")
    widget.images.show_button.click()
    wait_until(lambda: widget.state.opened == "astronaut")
    widget.fine_tuning_group.expand(animate=False)
    viewer.reset_view()
    take_in_both_themes(viewer, output, "project")
    viewer.close()


if __name__ == "__main__":
    main()
