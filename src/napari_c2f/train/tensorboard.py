"""TensorBoard in a separate process, which ends with the widget."""

import re
import sys
from pathlib import Path

from qtpy.QtCore import QObject, QProcess, Signal

READY = re.compile(r"TensorBoard \S+ at (https?://\S+) \(Press")
"""What TensorBoard prints when it is ready; notes before it may contain other addresses."""
KEPT = 10_000
"""Characters of TensorBoard's output that are kept; hours of warnings would fill the memory."""
LONGEST_WAIT = 2000
"""Milliseconds that ending may take."""


class TensorBoard(QObject):
    """Starts TensorBoard on a folder and reports its address.

    Attributes
    ----------
    ready : Signal
        Emitted with the address once TensorBoard answers.
    message : Signal
        Emitted with a sentence for the user.
    """

    ready = Signal(str)
    message = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.readyRead.connect(self._read)
        self._process.finished.connect(self._end)
        self._process.errorOccurred.connect(self._show_error)
        self._folder: Path | None = None
        self._address = self._output = ""

    @property
    def is_running(self) -> bool:
        """Whether the process exists."""
        return self._process.state() != QProcess.ProcessState.NotRunning

    def open(self, folder: Path | None) -> None:
        """Show the logs in a folder instead of those shown before.

        Parameters
        ----------
        folder : Path or None
            Run folder; without one, a message asks the user to train first.
        """
        if folder is None:
            self.message.emit("Train or resume a run first: TensorBoard shows its folder.")
        elif self._address and folder == self._folder:
            self._report_ready()
        else:
            self.message.emit("TensorBoard is starting…")
            self._start(folder)

    def close(self) -> None:
        """End the process."""
        self._folder, self._address, self._output = None, "", ""
        if self.is_running:
            self._process.kill()
            self._process.waitForFinished(LONGEST_WAIT)

    def _start(self, folder: Path) -> None:
        self.close()
        self._folder = folder
        port = ["--port", "0", "--reload_interval", "5"]
        arguments = ["-m", "tensorboard.main", "--logdir", str(folder), *port]
        self._process.start(sys.executable, arguments)

    def _read(self) -> None:
        new = bytes(self._process.readAll().data()).decode(errors="replace")
        self._output = (self._output + new)[-KEPT:]
        address = address_in(self._output)
        if address and not self._address:
            self._address = address
            self._report_ready()

    def _report_ready(self) -> None:
        self.message.emit(f"TensorBoard is running at {self._address}")
        self.ready.emit(self._address)

    def _end(self) -> None:
        if self._folder is not None:
            last = self._output.strip().splitlines()[-1:]
            why = " ".join(last).rstrip(".") or "it could not be started"
            self.message.emit(f"TensorBoard ended: {why}.")
            self._folder, self._address = None, ""

    def _show_error(self, error: QProcess.ProcessError) -> None:
        """Report a process that never began, of which Qt emits no end."""
        if error == QProcess.ProcessError.FailedToStart:
            self._folder, self._address = None, ""
            self.message.emit(
                f"TensorBoard could not be started ({self._process.errorString()}); run "
                "tensorboard in a terminal to see why."
            )


def address_in(output: str) -> str:
    """Return the address in TensorBoard's output; empty while it is not ready.

    Parameters
    ----------
    output : str
        All that TensorBoard has printed so far.
    """
    found = READY.search(output)
    return found.group(1) if found else ""
