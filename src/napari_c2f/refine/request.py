"""One run of a refiner, for a thread, as the layers and the user's choice ask for it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, ImageError
from c2f_core.geometry.lazy import Sliceable
from c2f_core.geometry.windows import whole
from c2f_core.io.intensity import FIXED_LIMITS
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.run import JobResult, Plane, RefineJob, run_refinement
from c2f_core.refine.scope import Scope
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.base.worker import Report, ShouldStop, TaskFunction
from napari_c2f.layers.convert import class_table_of_layer, level0
from napari_c2f.layers.lineage import Lineage
from napari_c2f.layers.locks import locked_classes
from napari_c2f.layers.session import Session
from napari_c2f.layers.strokes import ProtectedStroke
from napari_c2f.refine.scope import ScopeChoice, planes_of, scope_of

MakeRefiner = Callable[[ClassTable], RefinerInterface]
"""Makes the refiner for the class table of the coarse map; may take its time."""
LARGEST_COPIED = 1 << 25
"""Pixels of a coarse layer in memory of which a result is always as large as the layer."""


@dataclass(frozen=True, eq=False)
class RefineRequest:
    """What the widget asks for.

    Attributes
    ----------
    image, coarse : layers or None
    table_selection : TableSelection
        Class table of the coarse map; without a table, that of its layer.
    make_refiner : callable
        Called in the thread.
    choice : ScopeChoice
        What may change.
    shapes : Shapes or None
        Where, if the choice says so.
    done : callable
        Called after success.
    """

    image: Image | None
    coarse: Labels | None
    table_selection: TableSelection
    make_refiner: MakeRefiner
    choice: ScopeChoice
    shapes: Shapes | None
    done: Callable[[], None]


@dataclass(frozen=True, eq=False)
class PreparedJob:
    """A run, and of what it is one.

    Attributes
    ----------
    run : RefineJob
    coarse : Labels
    kept : sequence of ProtectedStroke
        Hand-painted pixels that stay, for the layer to come.
    """

    run: RefineJob
    coarse: Labels
    kept: Sequence[ProtectedStroke]


def refining(run: RefineJob, make_refiner: MakeRefiner) -> TaskFunction:
    """Return the work of one run, for a thread."""

    def work(report: Report, should_stop: ShouldStop) -> JobResult:
        refiner = make_refiner(run.class_table)
        return run_refinement(run, refiner, progress=report, should_stop=should_stop)

    return work


def check_layers(image: Image | None, coarse: Labels | None) -> tuple[Image, Labels]:
    """Return the layers if a run can be made of them.

    Raises
    ------
    C2FError
        One lacks, or they are not of as many dimensions.
    """
    if image is None or coarse is None:
        raise C2FError("Choose an image and a coarse map: open or draw them first.")
    if image.ndim != coarse.ndim:
        stack, plane = (image, coarse) if image.ndim > coarse.ndim else (coarse, image)
        raise ImageError(
            f"'{stack.name}' is a stack of {stack.ndim} dimensions and '{plane.name}' has "
            f"{plane.ndim}; choose a coarse map that was drawn on this image."
        )
    return image, coarse


def prepare(
    asked: RefineRequest, viewer: ViewerModel, session: Session, *, copy: bool = True
) -> PreparedJob:
    """Describe a run as it was when the user clicked; drawing can go on.

    Parameters
    ----------
    asked : RefineRequest
    viewer : ViewerModel
    session : Session
    copy : bool
        Copy a coarse map in memory that is not too large.

    Raises
    ------
    C2FError
        A layer lacks, they do not fit, or the scope holds nothing.
    """
    image, coarse = check_layers(asked.image, asked.coarse)
    table = asked.table_selection.checked_table() or class_table_of_layer(coarse)
    choice = asked.choice
    layers, lineage = viewer.layers, session.lineage
    kept = session.protected_strokes(layers, coarse, choice.keep_fine, choice.keep_coarse)
    scope, plane = scope_of(choice, viewer, coarse, asked.shapes), planes_of(choice, viewer, coarse)
    data, locked = level0(coarse), locked_classes(coarse)
    is_small = isinstance(data, np.ndarray) and data.size <= LARGEST_COPIED
    names = tuple(entry.name for entry in table.entries if entry.index in locked)
    run = RefineJob(
        image=level0(image),
        coarse=data.copy() if copy and is_small else data,
        class_table=table,
        scope=replace(scope, locked=names),
        limits=_limits(image),
        plane=plane,
        painted=[each.patch for each in kept],
        whole=is_small or _covers_all(data.shape, scope, plane),
        before=None if plane == () else _before(coarse, layers, lineage),
    )
    return PreparedJob(run, coarse, kept)


def _covers_all(shape: tuple[int, ...], scope: Scope, plane: Plane | None) -> bool:
    size = int(shape[-2]), int(shape[-1])
    return plane in (None, ()) and scope.mask is None and scope.region(size) == whole(size)


def _limits(image: Image) -> tuple[float, float] | None:
    """Return what is black and white of an image that is not at hand as a whole."""
    data = level0(image)
    if isinstance(data, np.ndarray) or np.dtype(data.dtype).name in FIXED_LIMITS:
        return None
    low, high = image.contrast_limits
    return float(low), float(high)


def _before(
    coarse: Labels, layers: Iterable[Layer], lineage: Lineage
) -> tuple[Sliceable, Sliceable] | None:
    """Return the latest fine map of a whole stack and its confidence, if there are any."""
    fine = lineage.latest_result(layers, coarse)
    confidence = None if fine is None else lineage.confidence_of(layers, fine)
    shape = level0(coarse).shape
    if fine is None or confidence is None or not fine.data.shape == confidence.data.shape == shape:
        return None
    return fine.data, confidence.data
