"""Curves of a run while it trains, or of two runs for comparison."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QPalette, QShowEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from c2f_core.training.curves import VALIDATION, Curves, Series
from c2f_core.training.events import RunStarted
from c2f_core.training.listeners import SHOWN_SCORES
from napari_c2f.train.model import Stage

COLOURS = ("#e8a33d", "#4aa3df", "#7bc043", "#d9534f", "#a078d0", "#6fc7c1", "#c0c0c0")
HEADROOM = 0.15
"""How far below the lowest reference the plot of validation scores begins."""
DISCRIMINATOR = (
    "discriminator loss",
    "discriminator accuracy",
    "validation discriminator accuracy",
)
LINES = {"coarse": Qt.PenStyle.DashLine, "classical": Qt.PenStyle.DotLine}


@dataclass(frozen=True)
class Line:
    """A curve of a plot.

    Attributes
    ----------
    name : str
        Name in the legend.
    steps, values : (N,) float64 array
        Points of the curve.
    dots : bool
        Mark the points.
    """

    name: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]
    dots: bool = False

    def renamed(self, name: str) -> "Line":
        """Return the curve under another name."""
        return replace(self, name=name)


class _Canvas(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types.
    """A plot that fits into a dock and deletes its menus with itself."""

    def __init__(self) -> None:
        super().__init__(background=None)
        # However long a run is, only what can be seen is drawn.
        self.plotItem.setDownsampling(auto=True, mode="peak")
        self.plotItem.setClipToView(True)
        for menu in (self.plotItem.ctrlMenu, self.plotItem.vb.menu):
            menu.setParent(self, menu.windowFlags())

    def sizeHint(self) -> QSize:  # noqa: N802
        """Prefer less than pyqtgraph's 640 x 480."""
        return QSize(360, 170)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Stay readable."""
        return QSize(200, 100)


class Plot(QWidget):
    """Curves over steps, with a legend above them that hides none.

    Parameters
    ----------
    title : str
        Title, shown before the legend.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._drawn: dict[str, int] = {}
        self.legend = QLabel(title)
        self.legend.setWordWrap(True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.legend)

    @cached_property
    def plot(self) -> _Canvas:
        """Canvas of the curves; it takes time, and is made when it is first seen or drawn on."""
        canvas = _Canvas()
        canvas.setToolTip("Drag to move, scroll to zoom, right click for more")
        canvas.showGrid(x=True, y=True, alpha=0.2)
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)  # It is set above.
        layout.addWidget(canvas, 1)
        self._colour_axes(canvas)
        return canvas

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Make the canvas before it is seen."""
        _ = self.plot
        super().showEvent(event)

    def clear(self) -> None:
        """Remove all curves and levels."""
        if self._has_canvas:
            self.plot.clear()
        self._curves.clear()
        self._drawn.clear()
        self.legend.setText(f"<b>{self._title}</b>")

    def show_lines(self, lines: Sequence[Line], note: str = "") -> None:
        """Show curves; those shown already are only given their new points.

        Parameters
        ----------
        lines : sequence of Line
            Curves, in the order of the legend.
        note : str
            Text after the names of the curves.
        """
        for line in lines:
            if line.name not in self._curves:
                self._add(line)
            if self._drawn.get(line.name) != len(line.steps):  # Drawing takes time from training.
                self._drawn[line.name] = len(line.steps)
                self._curves[line.name].setData(line.steps, line.values)
        names = [f"{_mark(index)}&nbsp;{line.name}" for index, line in enumerate(lines)]
        text = f"<b>{self._title}</b> {' '.join(names)} <i>{note}</i>"
        if text != self.legend.text():
            self.legend.setText(text)

    def _add(self, line: Line) -> None:
        colour = COLOURS[len(self._curves) % len(COLOURS)]
        dots = {"symbol": "o", "symbolSize": 4, "symbolBrush": colour, "symbolPen": None}
        self._curves[line.name] = self.plot.plot(pen=colour, **(dots if line.dots else {}))

    def points(self, name: str) -> tuple[list[float], list[float]]:
        """Return all steps and values of a curve, including those not in view."""
        steps, values = self._curves[name].getOriginalDataset()
        return ([], []) if steps is None else (steps.tolist(), values.tolist())

    def add_level(self, value: float, colour_of: int, style: Qt.PenStyle) -> None:
        """Draw a horizontal line.

        Parameters
        ----------
        value : float
            Height of the line.
        colour_of : int
            Number of the curve whose colour the line gets.
        style : Qt.PenStyle
            Style of the line.
        """
        pen = pg.mkPen(COLOURS[colour_of], style=style)
        self.plot.addItem(pg.InfiniteLine(value, angle=0, pen=pen))

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Follow napari's theme."""
        super().changeEvent(event)
        if self._has_canvas:
            self._colour_axes(self.plot)

    @property
    def _has_canvas(self) -> bool:
        return "plot" in vars(self)

    def _colour_axes(self, canvas: _Canvas) -> None:
        colour = self.palette().color(QPalette.ColorRole.WindowText)
        for side in ("left", "bottom"):
            canvas.getAxis(side).setTextPen(colour)


def _mark(index: int) -> str:
    return f'<span style="color:{COLOURS[index % len(COLOURS)]}">■</span>'


class CurvesView(QWidget):
    """Validation scores with their references, losses, and the discriminator if there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.losses = Plot("Losses")
        self.discriminator = Plot("Discriminator")
        self.validation = Plot("Validation (%)")
        self._series: dict[str, SeriesConcatenator] = {}
        self._levels: object = None
        self._range: tuple[float, float] | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for plot in (self.validation, self.losses, self.discriminator):
            layout.addWidget(plot, 1)
        self.show_stages([])

    def show_stages(self, stages: Sequence[Stage]) -> None:
        """Show a run; the steps of its second stage continue those of the first."""
        if not stages:
            for plot in (self.losses, self.discriminator, self.validation):
                plot.clear()
            self._levels = None
            self._series.clear()
            self.discriminator.hide()
            return
        curves = [stage.curves for stage in stages]
        names = [name for each in curves for name in each.series if is_loss(name)]
        self.losses.show_lines([self._line(curves, name) for name in dict.fromkeys(names)])
        lines = [self._line(curves, name) for name in DISCRIMINATOR]
        logged = [line for line in lines if len(line.steps)]
        self.discriminator.show_lines(logged)
        self.discriminator.setVisible(bool(logged))
        self._show_validation(stages)

    def _line(self, curves: Sequence[Curves], name: str, factor: float = 1.0) -> Line:
        return self._series.setdefault(name, SeriesConcatenator(name, factor)).line(curves)

    def _show_validation(self, stages: Sequence[Stage]) -> None:
        curves = [stage.curves for stage in stages]
        lines = [self._line(curves, f"{VALIDATION}{score}", 100) for score in SHOWN_SCORES]
        start = stages[-1].start
        if self._levels is not start:
            self._levels = start
            self._show_levels(start)
        classical = start.classical
        dotted = "" if classical is None else f", dotted: {classical.name}"
        self.validation.show_lines(lines, f"dashed: coarse maps{dotted}")
        levels = [] if classical is None else list(classical.scores.values())
        self._set_range(lines, [*start.reference.values(), *levels])

    def _show_levels(self, start: RunStarted) -> None:
        """Draw the references of a stage, below which its curves should not stay."""
        self.validation.clear()
        classical = {} if start.classical is None else start.classical.scores
        for kind, scores in (("coarse", start.reference), ("classical", classical)):
            for number, score in enumerate(SHOWN_SCORES):
                if score in scores:
                    self.validation.add_level(100 * scores[score], number, LINES[kind])

    def _set_range(self, lines: Iterable[Line], reference: Sequence[float]) -> None:
        values = [value for line in lines for value in line.values]
        floor = 100 * (min(reference, default=0.0) - HEADROOM)
        shown = [max(value, floor) for value in values] + [100 * value for value in reference]
        if shown and self._range != (min(shown), max(shown)):
            self._range = min(shown), max(shown)
            self.validation.plot.setYRange(*self._range)


def is_loss(name: str) -> bool:
    """Return whether a series is a loss of the generator."""
    of_generator = not name.startswith("discriminator")
    return of_generator and (name.endswith("loss") or name == "feature matching")


class SeriesConcatenator:
    """Concatenates a series of all stages of a run; only new values are converted.

    Parameters
    ----------
    name : str
        Name of the series.
    factor : float
        Factor of the values.
    """

    def __init__(self, name: str, factor: float = 1.0) -> None:
        self._name = name
        self._factor = factor
        self._steps: NDArray[np.float64] = np.empty(0)
        self._values: NDArray[np.float64] = np.empty(0)
        self._counts: list[int] = []

    def line(self, stages: Sequence[Curves]) -> Line:
        """Return the whole curve.

        Parameters
        ----------
        stages : sequence of Curves
            Stages of one run, of which only the last may have grown since the previous call.
        """
        offset = 0
        self._counts += [0] * (len(stages) - len(self._counts))
        for number, curves in enumerate(stages):
            self._add_new(curves[self._name], number, offset)
            offset += curves.last_step
        is_validation = self._name.startswith(VALIDATION)
        shown = self._name if self._factor == 1.0 else self._name.removeprefix(VALIDATION)
        return Line(shown, self._steps, self._values, dots=is_validation)

    def _add_new(self, series: Series, number: int, offset: int) -> None:
        """Add the values of a stage that have come since the previous call."""
        count, self._counts[number] = self._counts[number], len(series.steps)
        if len(series.steps) > count:
            steps = offset + np.array(series.steps[count:], dtype=float)
            values = self._factor * np.array(series.values[count:], dtype=float)
            self._steps = np.concatenate([self._steps, steps])
            self._values = np.concatenate([self._values, values])
