"""What the Refine widget shows."""

import operator
from dataclasses import dataclass
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from c2f_core.refine.report import ScopeReport
from napari_c2f.base.activity import Activity


@dataclass
class Refining(Activity):
    """State of the Refine widget.

    Attributes
    ----------
    report : ScopeReport or None
        What the latest run changed.
    live : bool
        After each stroke, what it touches is refined again.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"report": operator.is_}
    )

    report: ScopeReport | None = None
    live: bool = False
