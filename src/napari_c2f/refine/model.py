"""What the Refine widget shows."""

import operator
from dataclasses import dataclass, field
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from c2f_core.classes.table import ClassTable
from c2f_core.refine.fitting import general_refiner
from c2f_core.refine.report import ScopeReport
from napari_c2f.base.activity import Activity


@dataclass
class Refining(Activity):
    """State of the Refine widget.

    Attributes
    ----------
    report : ScopeReport or None
        Report on the changes of the latest refinement.
    class_table : ClassTable or None
        Class table of the coarse map; None if no map is chosen or its table cannot be read.
    live : bool
        Whether live mode is on, which refines after each stroke what the stroke touches.
    refiner : str
        Refiner that is chosen, by the user or because it fits the classes: a name or a file.
    misfit : str
        Why the chosen refiner cannot refine the coarse map; empty if it can.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"report": operator.is_}
    )

    report: ScopeReport | None = None
    class_table: ClassTable | None = None
    live: bool = False
    refiner: str = field(default_factory=general_refiner)
    misfit: str = ""
