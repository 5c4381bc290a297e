"""Thumbnails in the list of the Project widget, on a real viewer."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from c2f_core.data.synthetic import SHAPES
from c2f_core.project import ImageRecord, Project
from c2f_core.project.layout import thumbnail_file
from napari_c2f.project.pictures import MOST_KEPT, MOST_WANTED, SIZE
from napari_c2f.project.table import ImageTable

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}


@pytest.fixture
def widget(dock):
    return dock("Project")


@pytest.fixture
def project(tmp_path):
    """The folder of a project of images in one colour each, and of one that is damaged."""
    with Project.create(tmp_path / "project", SHAPES) as made:
        for name, colour in COLOURS.items():
            made.add_image(np.full((30, 40, 3), colour, np.uint8), name)
        made.add_image(np.zeros((30, 40), np.uint8), "damaged")
        made.image_path("damaged").write_bytes(b"torn")
    return tmp_path / "project"


@pytest.fixture
def opened(qtbot, click, widget, project):
    qtbot.keyClicks(widget.folder.line, str(project))
    click(widget.open_button)
    qtbot.waitUntil(lambda: bool(widget.state.images), timeout=20000)
    return widget.images.table


def colour_in_row(table, row):
    """Return the colour in the middle of the picture of a row, as it is drawn."""
    place = table.visualItemRect(table.topLevelItem(row))
    drawn = table.viewport().grab(place).toImage()
    pixel = drawn.pixelColor(SIZE.width() // 2, place.height() // 2)
    return pixel.red(), pixel.green(), pixel.blue()


def test_each_row_shows_its_image(opened, qtbot, project):
    def is_drawn():
        for row, colour in enumerate(COLOURS.values()):
            assert (
                np.abs(np.subtract(colour_in_row(opened, row), colour)).max() < 9
            )  # Screens have few colours.

    qtbot.waitUntil(is_drawn, timeout=20000)
    opened.topLevelItem(0).setSelected(True)
    is_drawn()  # The selection does not tint the pictures.
    assert all(thumbnail_file(project, name).exists() for name in COLOURS)
    assert not thumbnail_file(project, "damaged").exists()


def test_pictures_belong_to_the_open_project(widget, opened, qtbot, click, tmp_path):
    qtbot.waitUntil(lambda: colour_in_row(opened, 0)[0] > 200, timeout=20000)
    with Project.create(tmp_path / "other", SHAPES) as made:
        made.add_image(np.full((30, 40, 3), COLOURS["blue"], np.uint8), "red")
    widget.folder.line.clear()
    qtbot.keyClicks(widget.folder.line, str(tmp_path / "other"))
    click(widget.open_button)
    qtbot.waitUntil(lambda: len(widget.state.images) == 1, timeout=20000)
    qtbot.waitUntil(lambda: colour_in_row(opened, 0)[2] > 200, timeout=20000)


@pytest.fixture
def long_table(qtbot):
    """A table of 5,000 images, and the lists of pictures that it asked for."""
    table, wanted = ImageTable(), []
    table.pictures_wanted.connect(wanted.append)
    qtbot.addWidget(table)
    table.resize(400, 300)
    table.show()
    records = [
        ImageRecord(name=f"{number:04}", image=f"{number:04}.png", size=(9, 9))
        for number in range(5000)
    ]
    table.show_images(records, "")
    return table, wanted


def test_only_rows_in_view_ask_for_their_picture(long_table, qtbot):
    table, wanted = long_table
    qtbot.waitUntil(lambda: bool(wanted), timeout=20000)
    assert "0000" in wanted[0]
    assert len(wanted[0]) <= MOST_WANTED
    for name in wanted.pop():
        table.show_picture(name, np.zeros((9, 9, 3), np.uint8))
    table.setValue("0000")
    wanted.clear()
    qtbot.keyClick(table, Qt.Key.Key_End)
    assert table.value() == "4999"
    qtbot.waitUntil(lambda: bool(wanted), timeout=20000)
    assert "4999" in wanted[0]
    assert "0000" not in wanted[0]


def test_pictures_that_are_far_away_are_forgotten(long_table, qtbot):
    table, wanted = long_table
    qtbot.waitUntil(lambda: bool(wanted), timeout=20000)
    for number in range(MOST_KEPT + 1):
        table.show_picture(f"{number:04}", None)
    wanted.clear()
    table.viewport().update()
    qtbot.waitUntil(lambda: bool(wanted), timeout=20000)
    assert wanted[0] == ["0000"]
