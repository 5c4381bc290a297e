"""State that the Project widget shows. Evented; only its controllers write it."""

import operator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from c2f_core.project import ImageRecord, Status
from napari_c2f.base.activity import Activity


@dataclass
class ProjectState(Activity):
    """State of the open project.

    Attributes
    ----------
    root : Path or None
        Folder of the project; None if no project is open.
    images : tuple of ImageRecord
        Records of the images, in the order in which they were added.
    opened : str
        Name of the image whose layers are in the viewer; empty if no image is open.
    model : str
        Refiner of the project: a name or a file; empty if none was chosen.
    models : tuple of str
        Model files in the project, the newest last.
    saved : str
        When the open image was last saved, as a text for the user.
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

    def record(self, name: str) -> ImageRecord | None:
        """Return the record of an image; None if the project does not contain it."""
        return next((record for record in self.images if record.name == name), None)

    def actions(self, name: str) -> "ImageActions":
        """Return what can be done with an image."""
        record = self.record(name)
        if record is None:
            return ImageActions()
        return ImageActions(
            can_remove=True,
            can_open=name != self.opened,
            has_fine_map=record.status is not Status.PENDING,
            is_reviewed=record.status is Status.REVIEWED,
        )


@dataclass(frozen=True)
class ImageActions:
    """What can be done with an image; by default nothing, because no image is selected.

    Attributes
    ----------
    can_open, can_remove : bool
        Whether the image can be brought into the viewer, and removed from the project.
    has_fine_map : bool
        Whether the image has a fine map, which can be exported and marked as reviewed.
    is_reviewed : bool
        Whether the fine map is marked as reviewed.
    """

    can_open: bool = False
    can_remove: bool = False
    has_fine_map: bool = False
    is_reviewed: bool = False
