"""The section of the Project widget that lists the images and offers what can be done with them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from napari.layers import Layer
from napari.utils.key_bindings import KeyBinding, KeyCode, KeyMod
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QPushButton, QVBoxLayout, QWidget

from c2f_core.io.images import IMAGE_SUFFIXES
from c2f_core.project.export_all import POLYGON_TOLERANCE, ExportFormat
from c2f_core.project.layout import REMOVED
from c2f_core.project.work import undecided_text
from napari_c2f.base.keys import Action, Keys
from napari_c2f.project.controller import ProjectController
from napari_c2f.project.table import ImageTable
from napari_c2f.widgets.docked import while_alive
from napari_c2f.widgets.parts import button_row

IMAGE_FILES = f"Images ({' '.join(f'*{suffix}' for suffix in IMAGE_SUFFIXES)})"
MAP_FILES = "Maps (*.png *.tif *.tiff *.npy)"
EFFORT_FILES = "Tables (*.csv *.md)"
EXPORT_TEXTS: dict[str, ExportFormat] = {
    "PNG maps": "png",
    "COCO polygons": "coco",
    "LabelMe polygons": "labelme",
    "CVAT polygons": "cvat",
    "Cityscapes polygons": "cityscapes",
}
TOLERANCE_TEXT = "Largest deviation of the polygons in pixels (0 keeps every pixel)"
LARGEST_TOLERANCE = 10.0
MARK, UNMARK = "Mar&k reviewed", "Mar&k not reviewed"
TIPS = {
    "show": "Bring the selected image and its maps into the viewer; the open image is saved "
    "(Enter)",
    "review": "Mark the fine map of the selected image as correct or not; reviewed maps are used "
    "for training",
    "remove": "Remove the selected image from the project after a question; its files are kept",
    "add": "Copy image files into the project",
    "layers": "Copy the images selected in the layer list, or one image and its coarse map",
    "export": "Write the fine map to a file, with a record of how it was made",
    "export-all": "Write the fine maps of all images to a folder, as PNG or as simplified polygons "
    "of COCO, LabelMe, CVAT or Cityscapes",
    "effort": "Write the minutes and painted pixels of all images to a table",
}


KEYS: Keys["ImageSection"] = Keys(
    "Project",
    {
        "next": Action(
            KeyBinding.from_int(KeyMod.Alt | KeyCode.RightArrow),
            "open the next image of the list",
            lambda section: section.open_neighbour(1),
        ),
        "previous": Action(
            KeyBinding.from_int(KeyMod.Alt | KeyCode.LeftArrow),
            "open the previous image of the list",
            lambda section: section.open_neighbour(-1),
        ),
    },
)


class ImageSection(QWidget):
    """Table of the images, and buttons below it.

    Parameters
    ----------
    controller : ProjectController
        Controller of the project.
    selected_layers : callable
        Function without parameters that returns the layers selected in the viewer.
    """

    def __init__(
        self, controller: ProjectController, selected_layers: Callable[[], Iterable[Layer]]
    ) -> None:
        super().__init__()
        self._controller, self._state = controller, controller.model
        self._selected_layers = selected_layers
        self.table = ImageTable()
        self.show_button = QPushButton("Open &image")
        self.review_button = QPushButton(MARK)
        self.remove_button = QPushButton("Remo&ve…")
        self.add_button = QPushButton("&Add images…")
        self.layers_button = QPushButton("Add se&lected")
        self.export_button = QPushButton("E&xport…")
        self.export_all_button = QPushButton("Export all…")
        self.effort_button = QPushButton("Effort ta&ble…")
        self._lay_out()
        self._connect()
        self._show_project()

    def _lay_out(self) -> None:
        one = {
            self.show_button: TIPS["show"],
            self.review_button: TIPS["review"],
            self.remove_button: TIPS["remove"],
        }
        others = {
            self.add_button: TIPS["add"],
            self.layers_button: TIPS["layers"],
            self.export_button: TIPS["export"],
            self.export_all_button: TIPS["export-all"],
            self.effort_button: TIPS["effort"],
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(button_row(one))
        layout.addLayout(button_row(others))

    def _connect(self) -> None:
        self.table.opened.connect(self._controller.images.show)
        self.table.selected.connect(self._show_actions)
        self.table.pictures_wanted.connect(self._controller.thumbnails.want)
        self._controller.thumbnails.made.connect(self._show_picture)
        self.show_button.clicked.connect(self._open)
        self.review_button.clicked.connect(self._toggle_reviewed)
        self.remove_button.clicked.connect(self._remove)
        self.add_button.clicked.connect(self._add)
        self.layers_button.clicked.connect(self._add_layers)
        self.export_button.clicked.connect(self._export)
        self.export_all_button.clicked.connect(self._export_all)
        self.effort_button.clicked.connect(self._write_effort)
        events = self._state.events
        events.root.connect(self._show_project)
        events.images.connect(self._show_images)
        events.opened.connect(self._show_images)

    # What the user wants

    def _open(self) -> None:
        self._controller.images.show(self.table.value())

    def open_neighbour(self, step: int) -> None:
        """Open the image this many rows below the open one, in the order of the list."""
        name = self.table.neighbour(self._state.opened, step)
        if name:
            self.table.setValue(name)
            self._controller.images.show(name)

    def _toggle_reviewed(self) -> None:
        self._controller.review_mark.toggle(self.table.value(), self._confirm_mark)

    def _confirm_mark(self, undecided: int) -> bool:
        question = (
            f"{undecided_text(undecided)}\nOnce the map is marked as reviewed, it is used for "
            "training. Mark it anyway?"
        )
        return self._ask("Mark reviewed", question)

    def _remove(self) -> None:
        name = self.table.value()
        question = (
            f"Remove '{name}' and its maps from the project?\nNo file is deleted: they are moved "
            f"to the folder '{REMOVED}' of the project. Models that were trained on it stay "
            "unchanged."
        )
        if self._ask("Remove image", question):
            self._controller.library.remove(name)

    def _ask(self, title: str, question: str) -> bool:
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return bool(QMessageBox.question(self, title, question, yes | no, no) == yes)

    def _add(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Add images", "", IMAGE_FILES)
        if paths:
            self._controller.library.add_files(map(Path, paths))

    def _add_layers(self) -> None:
        self._controller.library.add_layers(self._selected_layers())

    def _export(self) -> None:
        name = self.table.value()
        path = self._path(f"Export {name}", f"exports/{name}.png", MAP_FILES)
        if path is not None:
            self._controller.exporter.export_map(name, path)

    def _export_all(self) -> None:
        """Ask for a format, for polygons how exact they are, and a folder."""
        texts = list(EXPORT_TEXTS)
        text, ok = QInputDialog.getItem(self, "Export all", "Format of the files", texts, 0, False)
        if not ok:
            return
        layout, tolerance = EXPORT_TEXTS[text], POLYGON_TOLERANCE
        if layout != "png":
            limits = tolerance, 0.0, LARGEST_TOLERANCE, 1
            tolerance, ok = QInputDialog.getDouble(self, "Export all", TOLERANCE_TEXT, *limits)
            if not ok:
                return
        exports = str((self._state.root or Path()) / "exports")
        folder = QFileDialog.getExistingDirectory(self, "Folder for the files", exports)
        if folder:
            self._controller.exporter.export_all(Path(folder), layout, tolerance)

    def _write_effort(self) -> None:
        path = self._path("Effort table", "effort.csv", EFFORT_FILES)
        if path is not None:
            self._controller.exporter.write_effort(path)

    def _path(self, title: str, suggested: str, kinds: str) -> Path | None:
        """Ask for a file to write; suggest one in the folder of the project."""
        root = self._state.root or Path()
        path, _ = QFileDialog.getSaveFileName(self, title, str(root / suggested), kinds)
        return Path(path) if path else None

    # What is shown

    @while_alive
    def _show_project(self, *_: Any) -> None:
        self.setEnabled(self._state.root is not None)
        self.table.forget_pictures()
        self._show_images()

    @while_alive
    def _show_picture(self, name: str, picture: NDArray[Any] | None) -> None:
        self.table.show_picture(name, picture)

    @while_alive
    def _show_images(self, *_: Any) -> None:
        self.table.show_images(self._state.images, self._state.opened)

    @while_alive
    def _show_actions(self, *_: Any) -> None:
        """Enable what can be done with the selected image."""
        actions = self._state.actions(self.table.value())
        self.show_button.setEnabled(actions.can_open)
        self.remove_button.setEnabled(actions.can_remove)
        self.review_button.setEnabled(actions.has_fine_map)
        self.export_button.setEnabled(actions.has_fine_map)
        self.review_button.setText(UNMARK if actions.is_reviewed else MARK)
