"""The form that is made from the model of the settings."""

from pathlib import Path
from typing import Literal

import pytest
from napari.components import ViewerModel
from napari.layers import Image
from pydantic import Field
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from c2f_core.config.presets import preset_settings
from c2f_core.config.settings import Settings, TrainConfig
from napari_c2f.train.setup_view import HERE, SetupView
from napari_c2f.widgets.choices import TableChoice
from napari_c2f.widgets.config_form import ConfigForm, words
from napari_c2f.widgets.layer_choice import LayerChoice


class Part(Settings):
    """Settings of a part."""

    sizes: tuple[int, ...] = (3, 4)
    """Some sizes."""
    rate: float | None = Field(default=0.5, gt=0)
    """A rate, or none."""


class Model(Settings):
    """Settings of every kind."""

    count: int = Field(default=2, ge=1)
    """How many."""
    wanted: bool = True
    """Whether."""
    kind: Literal["round", "square"] = "round"
    """Which."""
    side: Literal[1, 2, 4] = 2
    """Which number."""
    file: Path | None = None
    """A file, or none."""
    name: str = "a"
    """A name."""
    elsewhere: int = 1
    """Edited elsewhere."""
    part: Part = Part()
    """A part."""


@pytest.fixture
def form(qtbot):
    form = ConfigForm(Model, {"elsewhere"}, "Run")
    qtbot.addWidget(form)
    return form


def test_every_field_appears_with_its_description(form):
    assert Model.model_validate(form.value()) == Model()
    assert form.editor("count").toolTip() == "How many."
    assert form.editor("part.rate").toolTip() == "A rate, or none."
    assert list(form.groups) == ["Run", "Part"]
    assert "elsewhere" not in form.value()


def test_all_kinds_of_values_go_in_and_out(form):
    wanted = {
        "count": 7,
        "wanted": False,
        "kind": "square",
        "side": 4,
        "file": Path("/some/file"),
        "name": "b",
        "part": {"sizes": (1, 2, 3), "rate": None},
    }
    form.setValue(wanted)
    assert Model.model_validate(form.value()) == Model.model_validate(wanted)
    form.setValue({})
    assert Model.model_validate(form.value()) == Model()


def test_what_cannot_be_used_is_marked_and_explained(form, qtbot):
    editor = form.editor("part.rate")
    editor.clear()
    qtbot.keyClicks(editor, "-1")
    assert editor.wrong.isVisible()
    assert "greater than 0" in editor.toolTip()
    editor.clear()
    assert not editor.wrong.isVisible()
    assert editor.toolTip() == "A rate, or none."


def test_a_number_that_is_shown_is_read_back_to_the_last_digit(form):
    for rate in (0.0007316482915, 1e-5, 3.0):
        form.setValue({"part": {"rate": rate}})
        assert Model.model_validate(form.value()).part.rate == rate


def test_scrolling_over_an_editor_changes_nothing(form, qtbot):
    box = LayerChoice(ViewerModel(), Image)
    box.choices = ["a", "b"]
    tables = TableChoice()
    qtbot.addWidget(tables)
    for editor, value in (
        *((form.editor(path), form.editor(path).value) for path in ("count", "kind")),
        (tables, tables.value),
        (box.native, lambda: box.value),
    ):
        before = value()
        wheel = QWheelEvent(
            QPointF(5, 5),
            QPointF(5, 5),
            QPoint(0, -120),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(editor, wheel)
        assert value() == before


@pytest.fixture
def setup(qtbot, tmp_path):
    setup = SetupView()
    qtbot.addWidget(setup)
    setup.run_folder.setValue(tmp_path / "run")
    return setup


def test_long_names_do_not_widen_the_form(setup, qtbot):
    setup.show()
    setup.all_settings.expand(animate=False)
    before = setup.minimumSizeHint().width()
    for group in setup.form.groups.values():
        group.expand(animate=False)
    qtbot.wait(10)
    assert setup.minimumSizeHint().width() <= before


def config_of(setup, tmp_path):
    settings = setup.value()
    settings["data"] |= {"root": tmp_path}
    return TrainConfig.model_validate(settings)


def leaves(model, path=""):
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Settings):
            yield from leaves(kind, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def test_every_setting_of_training_has_an_editor(setup):
    shown = set(setup.form._editors)
    assert shown | HERE == set(leaves(TrainConfig))
    assert not shown & HERE


@pytest.fixture
def choose_preset(setup, qtbot):
    """Choose a preset from its list, as a user does."""

    def choose(name):
        setup.preset.showPopup()
        view = setup.preset.view()
        view.setCurrentIndex(setup.preset.model().index(setup.preset.findData(name), 0))
        qtbot.keyClick(view, Qt.Key.Key_Return)

    return choose


@pytest.mark.parametrize("name", ["quick", "balanced", "thorough", "report"])
def test_a_preset_of_the_form_is_that_of_the_command_line_but_for_the_devices(
    setup, choose_preset, tmp_path, name
):
    choose_preset("report")
    setup.form.editor("seed").setValue(5)
    setup.form.editor("data.validation_share").setValue(0.4)
    choose_preset(name)
    given = {"data": {"root": tmp_path, "validation_share": 0.4}, "run_folder": tmp_path / "run"}
    here = {"seed": 5, "devices": None}  # All GPUs of the machine, unlike the command.
    expected = TrainConfig.model_validate(given | here | preset_settings(name))
    assert config_of(setup, tmp_path) == expected


def test_a_form_that_was_changed_goes_back_to_its_preset(setup, choose_preset, qtbot):
    assert setup.preset.currentText() == "balanced"
    setup.form.editor("seed").setValue(5)
    setup.form.editor("data.validation_share").setValue(0.4)
    setup.method.setValue("model2")
    assert setup.preset.currentText() == "balanced"
    before = setup.value()
    rate = setup.form.editor("optimiser.learning_rate")
    for editor in (rate, setup.steps):
        editor.setFocus()
        editor.selectAll()
        qtbot.keyClicks(editor, "9")
        assert (setup.preset.currentText(), setup.preset.placeholderText()) == (
            "",
            "changed settings",
        )
        choose_preset("balanced")
        assert setup.preset.currentText() == "balanced"
        assert setup.value() == before


def test_a_run_that_is_opened_has_no_preset_until_one_is_chosen(setup, choose_preset, tmp_path):
    folders = {"data": {"root": tmp_path}, "run_folder": tmp_path / "old"}
    setup.setValue(TrainConfig.model_validate(folders | preset_settings("report")))
    assert setup.preset.currentText() == ""
    assert setup.preset.placeholderText() == "settings as opened"
    choose_preset("balanced")
    assert config_of(setup, tmp_path) == TrainConfig.model_validate(folders)


def test_the_form_shows_a_stored_run(setup, tmp_path):
    config = TrainConfig.model_validate(
        {
            "data": {"root": tmp_path, "fine_maps": 3},
            "run_folder": tmp_path / "old",
            "method": "stage2",
            "stage2": {"start": tmp_path / "first", "steps": 9, "guard": None},
            "augmentation": {"scale": (0.5, 2.0), "background_class": "sky"},
            "crop": 48,
            "threads": 2,
        }
    )
    setup.setValue(config)
    assert config_of(setup, tmp_path) == config
    assert not setup.steps.isVisibleTo(setup)
    assert setup.stage2_steps.isVisibleTo(setup)


def test_settings_are_the_same_before_they_are_looked_at(setup, choose_preset, qtbot, tmp_path):
    choose_preset("thorough")
    before = config_of(setup, tmp_path)
    setup.show()
    setup.all_settings.expand(animate=False)
    groups = setup.form.groups.values()
    qtbot.waitUntil(lambda: all(group.isVisible() for group in groups), timeout=5000)
    assert config_of(setup, tmp_path) == before
    assert setup.preset.value() == "thorough"


def test_names_are_written_as_words():
    assert words("learning_rate") == "Learning rate"
    assert words("stage2") == "Stage 2"
