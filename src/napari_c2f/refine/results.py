"""The results of refining in the layer list: renewed by another refinement, and removed."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from c2f_core.geometry.arrays import Slices
from napari_c2f.base.proxies import bare
from napari_c2f.layers.lineage import changes_layers
from napari_c2f.layers.session import Session
from napari_c2f.layers.strokes import Stroke
from napari_c2f.refine.request import ScopeChoice, Where


@dataclass(frozen=True, eq=False)
class Earlier:
    """A fine map and its confidence that another refinement may take the place of.

    Attributes
    ----------
    fine : Labels
        The latest fine map of the coarse map.
    confidence : Image
        Its confidence.
    number_of_strokes : int
        Number of strokes in the fine map when the refinement was started.
    """

    fine: Labels
    confidence: Image
    number_of_strokes: int


class Results:
    """Knows which results another refinement renews, and which ones are old.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer of the layers.
    session : Session
        Session of the viewer.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._layers, self._session = viewer.layers, session
        self._made: WeakKeyDictionary[Labels, tuple[str, ScopeChoice]] = WeakKeyDictionary()

    def note(self, fine: Labels, choice: ScopeChoice) -> None:
        """Note the scope of a new fine map, and the name that it was given."""
        self._made[bare(fine)] = fine.name, choice

    def renewable(self, coarse: Labels, choice: ScopeChoice) -> Earlier | None:
        """Return what a refinement that starts now will renew.

        That is the latest fine map, unless it has something that the new one will not have:
        another scope, corrections that are not to stay, a review, or a name from the user.

        Parameters
        ----------
        coarse : Labels
            Map to refine.
        choice : ScopeChoice
            Scope of the refinement.
        """
        lineage, strokes = self._session.lineage, self._session.strokes
        fine = lineage.latest_result(self._layers, coarse)
        if fine is None or lineage.coarse_of(self._layers, fine) is not bare(coarse):
            return None
        name, scope = self._made.get(fine, ("", choice))
        confidence = lineage.confidence_of(self._layers, fine)
        number = len(strokes.strokes_of(fine))
        is_reviewed = lineage.final_of(self._layers, fine) is not None
        is_corrected = number > 0 and not choice.keep_fine
        if confidence is None or name != fine.name or is_reviewed or is_corrected:
            return None
        return Earlier(fine, confidence, number) if _covers(choice, scope) else None

    def remove(self, earlier: Earlier | None, slices: Slices) -> None:
        """Remove what a new result renews, unless it was changed or removed meanwhile.

        Parameters
        ----------
        earlier : Earlier or None
            What was there when the refinement was started.
        slices : tuple of slices
            Part of the coarse map that the new result covers.
        """
        if earlier is None or earlier.fine not in self._layers:
            return
        strokes, fine = self._session.strokes, earlier.fine
        is_changed = (
            len(strokes.strokes_of(fine)) != earlier.number_of_strokes
            or strokes.stroke_under_way(fine)
            or self._session.lineage.final_of(self._layers, fine) is not None
        )
        if not is_changed and self._session.lineage.slices_of(fine) == slices:
            self._remove([fine, earlier.confidence])

    def remove_old(self, coarse: Labels) -> tuple[int, list[str]]:
        """Remove all results of a coarse map but the latest fine and final maps.

        Returns
        -------
        removed : int
            Number of layers that were removed.
        kept : list of str
            Names of old maps that stay, because they have edits that the latest ones do not have.
        """
        lineage, layers = self._session.lineage, self._layers
        results = list(lineage.results_of(layers, coarse))
        latest = lineage.latest_result(layers, coarse)
        final = next((layer for layer in results if lineage.is_final(layer)), None)
        current = [layer for layer in (latest, final) if layer is not None]
        stamps = {stroke.stamp for layer in current for stroke in self._strokes(layer)}
        old = [layer for layer in results if layer not in current]
        edited = [layer for layer in old if {each.stamp for each in self._strokes(layer)} - stamps]
        gone: list[Layer] = [layer for layer in old if layer not in edited]
        confidences = {id(layer): lineage.confidence_of(layers, layer) for layer in results}
        needed = [confidences[id(layer)] for layer in results if layer not in gone]
        gone += [each for each in confidences.values() if each is not None and each not in needed]
        if latest is None or lineage.final_of(layers, latest) is None:
            gone += changes_layers(layers)  # Of a review that is over.
        self._remove(gone)
        return len({id(layer) for layer in gone}), [layer.name for layer in edited]

    def _strokes(self, layer: Labels) -> list[Stroke]:
        return self._session.strokes.strokes_of(layer)

    def _remove(self, layers: list[Layer]) -> None:
        for layer in layers:
            if layer in self._layers:
                self._layers.remove(layer)


def _covers(choice: ScopeChoice, earlier: ScopeChoice) -> bool:
    """Return whether a scope surely covers an earlier one; views and shapes may have moved."""
    if choice.where is not Where.IMAGE:
        return False
    is_whole = choice.classes is None and choice.band is None
    same = (choice.classes, choice.band, choice.where) == (
        earlier.classes,
        earlier.band,
        earlier.where,
    )
    return is_whole or same
