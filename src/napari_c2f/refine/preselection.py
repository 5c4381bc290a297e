"""Choice of the refiner: the one that fits the coarse map, until the user chooses another."""

from collections.abc import Callable
from dataclasses import replace

from napari.components import ViewerModel

from c2f_core.errors import C2FError
from c2f_core.refine.fitting import fitting_refiner, misfit
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.layers.convert import level0
from napari_c2f.layers.lineage import Lineage
from napari_c2f.refine.model import Refining
from napari_c2f.refine.request import RefineRequest, is_small, table_of
from napari_c2f.widgets.choices import title_of


class Preselection:
    """Chooses the refiner that fits the classes of the coarse map.

    A refiner that the user chose stays as long as it can refine the map.

    Parameters
    ----------
    model : Refining
        State that stores the choice.
    explain : callable
        Function that returns why a request cannot be carried out with its refiner; see
        `misfit_of`.
    """

    def __init__(self, model: Refining, explain: Callable[[RefineRequest], str]) -> None:
        self._model, self._explain = model, explain
        self._by_hand = False

    def choose(self, refiner: str) -> None:
        """Keep a refiner that the user chose."""
        if refiner != self._model.refiner:
            self._by_hand = True
            self._model.refiner = refiner

    def follow(self, request: RefineRequest) -> str:
        """Choose the refiner for another coarse map or class table.

        Returns
        -------
        str
            Why the choice of the user was replaced; empty if it was not.
        """
        table = table_of(request)
        if table is None:
            return ""
        current = replace(request.model, name=self._model.refiner)
        problem = self._explain(replace(request, model=current)) if self._by_hand else ""
        if self._by_hand and not problem:
            return ""
        self._by_hand = False
        self._model.refiner = fitting_refiner(table, RECENT_MODELS.paths())
        chosen = f"The model is now '{title_of(self._model.refiner)}'"
        return problem and f"{chosen}, because {problem.split(';')[0]}."


def misfit_of(request: RefineRequest, viewer: ViewerModel, lineage: Lineage) -> str:
    """Return why the refiner of a request cannot refine its coarse map; empty if it can.

    The classes of a large coarse map, or one that is loaded lazily, are checked while it is
    refined.
    """
    coarse, table, name = request.coarse, table_of(request), request.model.name
    if coarse is None or table is None or not misfit(name, table) or not is_small(level0(coarse)):
        return ""
    keep = request.choice.keep_fine, request.choice.keep_coarse
    painted = [each.patch for each in lineage.protected_strokes(viewer.layers, coarse, *keep)]
    return misfit(name, table, level0(coarse), painted, title=title_of(name))


def check_fit(request: RefineRequest, viewer: ViewerModel, lineage: Lineage) -> None:
    """Check that the refiner of a request can refine its coarse map.

    Raises
    ------
    C2FError
        If it cannot.
    """
    problem = misfit_of(request, viewer, lineage)
    if problem:
        raise C2FError(problem)
