"""Event files of TensorBoard, written at once.

torch's own writer writes in a thread, whose traceback is printed if the disk is full.
"""

import io
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class TensorBoardFile:
    """Values and pictures by step, in a file that TensorBoard reads.

    Parameters
    ----------
    folder : Path
        Folder for the file; it is created if it is missing.
    first_step : int
        Number of steps already done; TensorBoard drops later ones of earlier files.

    Raises
    ------
    OSError
        If the file cannot be written, also by the methods.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(exist_ok=True)
        process = f"{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / f"events.out.tfevents.{time.time():.6f}.{process}").open("wb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        self._write(step=first_step + 1, session_log=SessionLog(status=SessionLog.START))

    def add_value(self, name: str, value: float, step: int) -> None:
        """Write a value of a step."""
        self._add(step, tag=name, simple_value=value)

    def add_picture(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Write a picture of a step, a (Y, X, 3) uint8 array."""
        encoded = io.BytesIO()
        Image.fromarray(picture).save(encoded, "PNG")
        height, width, channels = picture.shape
        content = Summary.Image(
            height=height,
            width=width,
            colorspace=channels,
            encoded_image_string=encoded.getvalue(),
        )
        self._add(step, tag=name, image=content)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, step: int, **content: Any) -> None:
        self._write(step=step, summary=Summary(value=[Summary.Value(**content)]))

    def _write(self, **content: Any) -> None:
        event = Event(wall_time=time.time(), **content)
        self._records.write(event.SerializeToString())
        self._file.flush()
