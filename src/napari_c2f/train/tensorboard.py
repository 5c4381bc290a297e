"""TensorBoard in a process of its own, as long as the widget lives."""

import re
import sys
from pathlib import Path

from qtpy.QtCore import QObject, QProcess, Signal

ADDRESS = re.compile(r"https?://\S+")
LONGEST_WAIT = 2000
"""Milliseconds that ending may take."""


class TensorBoard(QObject):
    """Starts TensorBoard on a folder and says where it answers."""

    ready = Signal(str)
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.readyRead.connect(self._read)
        self._process.finished.connect(self._end)
        self._folder: Path | None = None
        self._address = self._output = ""

    def open(self, folder: Path) -> None:
        """Show the logs in a folder; another folder replaces the one before."""
        if self._address and folder == self._folder:
            self.ready.emit(self._address)
            return
        self.close()
        self._folder = folder
        port = ["--port", "0", "--reload_interval", "5"]
        arguments = ["-m", "tensorboard.main", "--logdir", str(folder), *port]
        self._process.start(sys.executable, arguments)

    def close(self) -> None:
        """End it."""
        self._folder, self._address, self._output = None, "", ""
        if self._process.state() != QProcess.ProcessState.NotRunning:
            self._process.kill()
            self._process.waitForFinished(LONGEST_WAIT)

    def _read(self) -> None:
        self._output += bytes(self._process.readAll().data()).decode(errors="replace")
        found = ADDRESS.search(self._output)
        if found and not self._address and "Press CTRL" in self._output:
            self._address = found.group()
            self.ready.emit(self._address)

    def _end(self) -> None:
        if self._folder is not None:
            last = self._output.strip().splitlines()[-1:]
            self.failed.emit(f"TensorBoard ended: {' '.join(last) or 'it could not be started'}.")
            self._folder, self._address = None, ""
