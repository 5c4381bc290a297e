"""The folders of the form and its buttons' actions, without a viewer and without a widget."""

import pytest

from c2f_core.config.settings import TrainConfig
from c2f_core.training.run_folder import RunFolder
from napari_c2f.train.controller import TrainController
from napari_c2f.train.model import Phase, Setup, free_run_folder
from napari_c2f.train.setup import SetupController


class Recorder(TrainController):
    """Training controller that only records its calls."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def check(self, settings):
        self.asked.append(("check", settings["run_folder"]))

    def train(self, settings):
        self.asked.append(("train", settings["run_folder"]))
        return True

    def resume(self, folder, changes):
        self.asked.append(("resume", folder, dict(changes)))

    def stop(self):
        self.asked.append(("stop",))

    def run(self, folder, *phases):
        """Go through the phases of a run in a folder."""
        self.model.run_folder = folder
        for phase in phases:
            self.model.phase = phase


@pytest.fixture
def training(qapp):
    training = Recorder()
    yield training
    training.close()


@pytest.fixture
def setup(training):
    return SetupController(training)


@pytest.fixture
def form(setup):
    """Return a function that returns what the form shows."""

    def show(**settings):
        chosen = {"data": {"root": setup.model.data}, "run_folder": setup.model.run_folder}
        sizes = {"device": "cpu", "batch_size": 3, "crop": 48}
        stage2 = {"method": "model1", "stage2": {"start": None}}
        return chosen | sizes | stage2 | settings

    return show


@pytest.fixture
def run(tmp_path):
    """Folder of a run that was interrupted after a checkpoint."""
    folder = tmp_path / "runs" / "interrupted"
    folder.mkdir(parents=True)
    (folder / "state.pt").touch()
    config = TrainConfig(data={"root": tmp_path / "earlier data"}, run_folder=folder)
    (folder / "config.json").write_text(config.model_dump_json())
    return folder


def test_a_free_run_folder_follows_the_data(setup, tmp_path):
    setup.choose_data(tmp_path / "leaves")
    assert setup.model.run_folder == tmp_path / "runs" / "leaves-1"
    (tmp_path / "runs" / "faces-1").mkdir(parents=True)
    setup.choose_data(tmp_path / "faces")
    assert setup.model.run_folder == tmp_path / "runs" / "faces-2"
    setup.choose_data(None)
    assert setup.model.run_folder == tmp_path / "runs" / "faces-2"


def test_a_run_folder_that_the_user_named_stays(setup, tmp_path):
    setup.choose_run_folder(tmp_path / "mine")
    setup.choose_data(tmp_path / "leaves")
    assert setup.model.run_folder == tmp_path / "mine"
    setup.choose_run_folder(None)
    setup.choose_data(tmp_path / "faces")
    assert setup.model.run_folder == tmp_path / "runs" / "faces-1"


def test_reset_proposes_another_folder(setup, tmp_path):
    setup.choose_data(tmp_path / "leaves")
    setup.choose_run_folder(tmp_path / "mine")
    setup.reset()
    assert setup.model.run_folder == tmp_path / "runs" / "leaves-1"
    free_run_folder(tmp_path / "leaves").mkdir(parents=True)
    setup.reset()
    assert setup.model.run_folder == tmp_path / "runs" / "leaves-2"


def test_the_class_table_in_the_folder_is_found(setup, data, tmp_path):
    setup.choose_data(data)
    assert setup.model.class_table == data / "classes.json"
    setup.choose_data(tmp_path)
    assert setup.model.class_table is None


def test_resume_continues_the_interrupted_run_until_another_is_named(
    setup, training, form, run, tmp_path
):
    setup.choose_run_folder(tmp_path / "named before")
    training.run(run, Phase.PREPARING, Phase.TRAINING)
    setup.choose_run_folder(tmp_path / "named meanwhile")
    assert setup.model.interrupted == run
    training.run(run, Phase.STOPPING, Phase.STOPPED)
    setup.choose_data(tmp_path / "other data")
    assert setup.model.run_folder == tmp_path / "named meanwhile"
    setup.resume(form())
    setup.choose_run_folder(tmp_path / "named after")
    setup.resume(form())
    assert training.asked == [
        ("resume", run, {"device": "cpu"}),
        ("resume", tmp_path / "named after", {"device": "cpu"}),
    ]


@pytest.mark.parametrize(
    ("phases", "has_checkpoint", "is_interrupted"),
    [
        ((Phase.TRAINING, Phase.DONE), True, False),
        ((Phase.TRAINING, Phase.FAILED), True, True),
        ((Phase.FAILED,), False, False),
        ((Phase.STOPPING, Phase.IDLE), False, False),
        ((Phase.TRAINING, Phase.STOPPING, Phase.STOPPED), True, True),
    ],
)
def test_a_run_is_interrupted_if_it_can_be_resumed(
    setup, training, run, phases, has_checkpoint, is_interrupted
):
    if not has_checkpoint:
        (run / "state.pt").unlink()
    training.run(run, Phase.PREPARING, *phases)
    assert setup.model.interrupted == (run if is_interrupted else None)


def test_resume_takes_sizes_of_the_form_if_it_shows_that_run(setup, training, form, run, tmp_path):
    setup.open_run(run)
    assert setup.model.opened.run_folder == setup.model.run_folder == run
    setup.resume(form())
    setup.choose_run_folder(tmp_path / "other")
    setup.resume(form())
    assert training.asked == [
        ("resume", run, {"device": "cpu", "batch_size": 3, "crop": 48}),
        ("resume", tmp_path / "other", {"device": "cpu"}),
    ]


def test_the_form_shows_the_run_that_was_started_from_it(setup, training, form, tmp_path):
    setup.choose_data(tmp_path / "leaves")
    setup.train_or_stop(form())
    assert setup.model.shown == setup.model.run_folder
    training.train = lambda _: False
    setup.choose_run_folder(tmp_path / "refused")
    setup.train_or_stop(form())
    assert setup.model.shown != setup.model.run_folder


def test_train_stops_what_is_under_way(setup, training, form):
    training.model.phase = Phase.TRAINING
    setup.train_or_stop(form())
    assert training.asked == [("stop",)]


def test_the_data_can_be_checked_before_a_run_folder_is_named(setup, training, form, tmp_path):
    setup.check(form(data={"root": tmp_path}))
    setup.check(form(data={"root": tmp_path}, run_folder=tmp_path / "run"))
    assert training.asked == [("check", tmp_path), ("check", tmp_path / "run")]


def test_the_user_is_asked_for_what_is_missing(setup, training, form, tmp_path):
    def message_after(act, *arguments):
        training.model.message = ""
        act(*arguments)
        assert training.model.phase is Phase.FAILED
        return training.model.message

    complete = form(data={"root": tmp_path}, run_folder=tmp_path / "run")
    for missing in ({"data": {"root": None}}, {"run_folder": None}):
        message = message_after(setup.train_or_stop, complete | missing)
        assert message == "Choose the data folder and a new folder for the run."
    assert message_after(setup.check, form()) == "Choose the data folder first."
    assert message_after(setup.resume, form()) == "Choose the folder of the run to resume."
    message = message_after(setup.write_pairs, lambda: None, None)
    assert message == "Choose the folder that the pairs are written to."
    for act in (setup.train_or_stop, setup.check):
        message = message_after(act, complete | {"method": "stage2"})
        assert "choose its run folder under 'Start from'" in message
    assert training.asked == []


def test_a_run_that_is_gone_is_reported_and_the_form_stays(setup, training, tmp_path):
    training.run(tmp_path / "run", Phase.PREPARING, Phase.TRAINING)
    setup.open_run(tmp_path / "gone")
    assert str(tmp_path / "gone") in training.model.message
    assert training.model.phase is Phase.TRAINING
    assert setup.model == Setup(interrupted=tmp_path / "run")


def test_pairs_are_written_and_trained_on(setup, training, monkeypatch, tmp_path):
    written = []

    def write_pairs(make_pairs, folder, done):
        written.append(folder)
        (folder / "classes.json").touch()
        done(folder / "classes.json")

    monkeypatch.setattr(training, "write_pairs", write_pairs)
    (tmp_path / "drawn").mkdir()
    setup.write_pairs(lambda: None, tmp_path / "drawn")
    assert written == [tmp_path / "drawn"]
    assert setup.model.data == tmp_path / "drawn"
    assert setup.model.class_table == tmp_path / "drawn" / "classes.json"
    assert setup.model.run_folder == tmp_path / "runs" / "drawn-1"


def test_the_lock_of_a_run_does_not_make_it_resumable(setup, training, tmp_path):
    folder = tmp_path / "locked"
    with RunFolder(folder).locked():
        training.run(folder, Phase.PREPARING, Phase.FAILED)
    assert setup.model.interrupted is None
