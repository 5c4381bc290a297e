"""What the Project widget shows. Evented; only its controllers write it."""

import operator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from c2f_core.project import ImageRecord
from napari_c2f.base.activity import Activity


@dataclass
class ProjectState(Activity):
    """State of the Project widget.

    Attributes
    ----------
    root : Path or None
        Folder of the project; None where none is open.
    images : tuple of ImageRecord
        In the order in which they were added.
    opened : str
        Name of the image whose layers are in the viewer; empty where there is none.
    model : str
        Refiner of the project: a name or a file.
    models : tuple of str
        Model files of the project, the newest last.
    saved : str
        When the open image was saved last, as people read it.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"images": operator.is_}
    )

    root: Path | None = None
    images: tuple[ImageRecord, ...] = ()
    opened: str = ""
    model: str = ""
    models: tuple[str, ...] = ()
    saved: str = ""


@dataclass
class Lesson(Activity):
    """State of learning from corrections."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()
