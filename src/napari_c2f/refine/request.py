"""From what the user asks for, and sees, to a job for a thread."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, ImageError
from c2f_core.geometry.arrays import Sliceable, whole
from c2f_core.io.intensity import FIXED_LIMITS
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.run import JobResult, Plane, RefineJob, open_refiner, run_refinement
from c2f_core.refine.scope import (
    SMALLEST_HOLE,
    SMALLEST_REGION,
    SMALLEST_SPUR,
    Care,
    Scope,
)
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.base.worker import Report, ShouldStop, TaskFunction
from napari_c2f.layers.convert import TABLE_KEY, class_table_of_layer, level0, plane_shape
from napari_c2f.layers.lineage import Lineage
from napari_c2f.layers.locks import locked_classes
from napari_c2f.layers.planes import check_placement, current_plane, view_of
from napari_c2f.layers.shapes import drawn_mask
from napari_c2f.layers.strokes import ProtectedStroke
from napari_c2f.layers.upright import check_drawn_upright

LARGEST_COPIED = 1 << 25
"""Largest number of pixels of a coarse map in memory that is copied, and refined as a whole."""


class Where(StrEnum):
    """Part of an image."""

    IMAGE = "image"
    VIEW = "view"
    SHAPES = "shapes"


@dataclass(frozen=True)
class CleanUpChoice:
    """How a fine map is cleaned up, as the user chose it.

    Attributes
    ----------
    is_on : bool
        Whether it is cleaned up.
    smallest_region, smallest_hole, smallest_spur : int
        Sizes in pixels; see `Scope`.
    """

    is_on: bool = True
    smallest_region: int = SMALLEST_REGION
    smallest_hole: int = SMALLEST_HOLE
    smallest_spur: int = SMALLEST_SPUR

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Return the smallest region, hole and spur that stay; 0 keeps all."""
        sizes = self.smallest_region, self.smallest_hole, self.smallest_spur
        return sizes if self.is_on else (0, 0, 0)


@dataclass(frozen=True)
class ScopeChoice:
    """Where a map may change, as the user chose it.

    Attributes
    ----------
    where : Where
        Part of the image.
    classes : tuple of str or None
        Names of the classes that may change; None for all.
    band : int or None
        Width of the band on either side of coarse boundaries, in pixels; None for no band.
    minimal_confidence : float
        Confidence in [0, 1] below which pixels keep their coarse label.
    all_planes : bool
        Whether to refine all planes of a stack, not only the one in view.
    keep_fine, keep_coarse : bool
        Whether pixels that were painted by hand stay: in the fine map, and in the coarse map
        after a refinement.
    care : {"careful", "balanced", "model"}
        How clearly a change has to be expected to gain; see `Scope`.
    clean_up : CleanUpChoice
        How the fine map is cleaned up.
    """

    where: Where = Where.IMAGE
    classes: tuple[str, ...] | None = None
    band: int | None = None
    minimal_confidence: float = 0.0
    all_planes: bool = False
    keep_fine: bool = True
    keep_coarse: bool = True
    care: Care = "careful"
    clean_up: CleanUpChoice = field(default_factory=CleanUpChoice)


@dataclass(frozen=True)
class RefinerChoice:
    """The refiner that the user chose.

    Attributes
    ----------
    name : str
        Name of a classical refiner or of a bundled model, or a checkpoint file.
    device : str
        Device on which a network computes.
    """

    name: str
    device: str = "auto"

    def open(self, class_table: ClassTable) -> RefinerInterface:
        """Open the refiner for the class table of a coarse map, which may take seconds."""
        return open_refiner(self.name, lambda: class_table, self.device)


@dataclass(frozen=True, eq=False)
class RefineRequest:
    """The user's choices.

    Attributes
    ----------
    image, coarse : layers or None
        Image and coarse map; None if none is chosen.
    model : RefinerChoice
        The refiner.
    table_selection : TableSelection
        Class table of the coarse map; without a table, its layer's own is used.
    choice : ScopeChoice
        Part of the map that may change.
    shapes : Shapes or None
        Layer with the shapes of the scope.
    """

    image: Image | None
    coarse: Labels | None
    model: RefinerChoice
    table_selection: TableSelection = field(default_factory=TableSelection)
    choice: ScopeChoice = field(default_factory=ScopeChoice)
    shapes: Shapes | None = None


@dataclass(frozen=True, eq=False)
class PreparedJob:
    """A job, and what its result needs to become layers.

    Attributes
    ----------
    job : RefineJob
        Job to run in a thread.
    coarse : Labels
        Layer of the coarse map.
    protected : sequence of ProtectedStroke
        Hand-painted pixels that stay, in the coordinates of the coarse map.
    """

    job: RefineJob
    coarse: Labels
    protected: Sequence[ProtectedStroke]


def refining(job: RefineJob, model: RefinerChoice) -> TaskFunction:
    """Return the function that carries out a job, for a thread."""

    def work(report: Report, should_stop: ShouldStop) -> JobResult:
        refiner = model.open(job.class_table)
        return run_refinement(job, refiner, progress=report, should_stop=should_stop)

    return work


def check_layers(image: Image | None, coarse: Labels | None) -> tuple[Image, Labels]:
    """Return an image and a coarse map if they can be refined.

    Raises
    ------
    C2FError
        If one is missing, they differ in the number of dimensions or in their placement, or the
        map was drawn on the sideways picture that the file of the image stores.
    """
    if image is None or coarse is None:
        raise C2FError("Choose an image and a coarse map: open or draw them first.")
    if image.ndim != coarse.ndim:
        stack, plane = (image, coarse) if image.ndim > coarse.ndim else (coarse, image)
        raise ImageError(
            f"'{stack.name}' is a stack of {stack.ndim} dimensions and '{plane.name}' has "
            f"{plane.ndim}; choose a coarse map that was drawn on this image."
        )
    check_drawn_upright(image, level0(coarse).shape)
    if plane_shape(image) == level0(coarse).shape:  # Otherwise refining says that they differ.
        check_placement(coarse, image)
    return image, coarse


def prepare(
    request: RefineRequest, viewer: ViewerModel, lineage: Lineage, *, copy: bool = True
) -> PreparedJob:
    """Make the job of a request, as the layers and the view are now.

    Parameters
    ----------
    request : RefineRequest
        The user's choices.
    viewer : ViewerModel
        Viewer of the layers.
    lineage : Lineage
        Lineage of the maps in the viewer.
    copy : bool
        Whether to copy a small coarse map, so that the user can draw in it meanwhile.

    Raises
    ------
    C2FError
        If a layer is missing, layers do not match, or the scope is empty.
    """
    image, coarse = check_layers(request.image, request.coarse)
    table = request.table_selection.checked_table() or class_table_of_layer(coarse)
    layers, choice = viewer.layers, request.choice
    protected = lineage.protected_strokes(layers, coarse, choice.keep_fine, choice.keep_coarse)
    scope = replace(scope_of(request, viewer, coarse), locked=_locked_names(coarse, table))
    plane = None if choice.all_planes and coarse.ndim > 2 else current_plane(viewer, coarse)
    data = level0(coarse)
    small = is_small(data)
    job = RefineJob(
        image=level0(image),
        coarse=data.copy() if copy and small else data,
        class_table=table,
        scope=scope,
        limits=_limits(image),
        plane=plane,
        painted=[each.patch for each in protected],
        whole=small or _covers_all(data.shape, scope, plane),
        before=None if plane == () else _latest(coarse, layers, lineage),
    )
    return PreparedJob(job, coarse, protected)


def is_small(data: Sliceable) -> bool:
    """Return whether a coarse map is in memory, and small enough to be copied."""
    return isinstance(data, np.ndarray) and data.size <= LARGEST_COPIED


def table_of(request: RefineRequest) -> ClassTable | None:
    """Return the class table of a request: the selected one, or else that of the coarse map."""
    selection = request.table_selection
    if selection.table is not None or selection.error is not None or request.coarse is None:
        return selection.table
    table: ClassTable | None = request.coarse.metadata.get(TABLE_KEY)
    return table


def scope_of(request: RefineRequest, viewer: ViewerModel, coarse: Labels) -> Scope:
    """Return the scope of a request on the planes of a coarse map, without locked classes.

    Raises
    ------
    C2FError
        If no class is chosen, or the view or the shapes contain no part of the map.
    """
    choice, box, mask = request.choice, None, None
    if choice.classes == ():
        raise C2FError("No class is checked under 'Scope'; check those that may change.")
    if choice.where is Where.VIEW:
        box = view_of(viewer, coarse)
    elif choice.where is Where.SHAPES:
        mask, box = drawn_mask(request.shapes, coarse)
    region, hole, spur = choice.clean_up.sizes
    return Scope(
        box=box,
        mask=mask,
        classes=choice.classes,
        band=choice.band,
        minimal_confidence=choice.minimal_confidence,
        care=choice.care,
        smallest_region=region,
        smallest_hole=hole,
        smallest_spur=spur,
    )


def _locked_names(coarse: Labels, table: ClassTable) -> tuple[str, ...]:
    locked = locked_classes(coarse)
    return tuple(entry.name for entry in table.entries if entry.index in locked)


def _covers_all(shape: tuple[int, ...], scope: Scope, plane: Plane | None) -> bool:
    size = int(shape[-2]), int(shape[-1])
    return plane in (None, ()) and scope.mask is None and scope.region(size) == whole(size)


def _limits(image: Image) -> tuple[float, float] | None:
    """Return black and white of an image whose pixels are not all in memory."""
    data = level0(image)
    if isinstance(data, np.ndarray) or np.dtype(data.dtype).name in FIXED_LIMITS:
        return None
    low, high = image.contrast_limits
    return float(low), float(high)


def _latest(
    coarse: Labels, layers: Iterable[Layer], lineage: Lineage
) -> tuple[Sliceable, Sliceable] | None:
    """Return the latest fine map of a whole stack and its confidence, if there are any."""
    layers = list(layers)
    fine = lineage.latest_result(layers, coarse)
    confidence = None if fine is None else lineage.confidence_of(layers, fine)
    shape = level0(coarse).shape
    if fine is None or confidence is None or not fine.data.shape == confidence.data.shape == shape:
        return None
    return fine.data, confidence.data
