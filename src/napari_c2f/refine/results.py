"""The results of refining in the layer list: renewed by another refinement, and removed."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from c2f_core.geometry.arrays import Slices
from c2f_core.refine.scope import Scope
from napari_c2f.base.proxies import bare
from napari_c2f.layers.lineage import changes_layers
from napari_c2f.layers.session import Session
from napari_c2f.layers.strokes import Stroke


@dataclass(frozen=True, eq=False)
class Earlier:
    """A fine map and its confidence that another refinement may take the place of.

    Attributes
    ----------
    fine : Labels
        A fine map of the coarse map.
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
        self._made: WeakKeyDictionary[Labels, tuple[str, Scope]] = WeakKeyDictionary()

    def note(self, fine: Labels, scope: Scope) -> None:
        """Note the scope of a new fine map, and the name that it was given."""
        self._made[bare(fine)] = fine.name, scope

    def renewable(self, coarse: Labels, scope: Scope, keep_fine: bool) -> list[Earlier]:
        """Return what a refinement that starts now will renew.

        These are the fine maps of the coarse map, but none with something that the new one will
        not have: another scope, corrections that are not to stay, a review, a fine map of its
        own, or a name from the user.

        Parameters
        ----------
        coarse : Labels
            Map to refine.
        scope : Scope
            Scope of the refinement.
        keep_fine : bool
            Whether corrections in fine maps stay.
        """
        lineage, layers = self._session.lineage, self._layers
        latest = lineage.latest_result(layers, coarse)
        stay = self._stamps(latest) if keep_fine and latest is not None else set()
        renewed: list[Earlier] = []
        for fine in lineage.results_of(layers, coarse):
            confidence = lineage.confidence_of(layers, fine)
            if confidence is None or lineage.coarse_of(layers, fine) is not bare(coarse):
                continue
            is_needed = self._is_needed(fine) or bool(self._stamps(fine) - stay)
            if not is_needed and _covers(scope, self._made[fine][1]):
                renewed.append(Earlier(fine, confidence, len(self._strokes(fine))))
        return renewed

    def _is_needed(self, fine: Labels) -> bool:
        """Return whether a map has a name from elsewhere, or another map was made from it."""
        lineage, layers = self._session.lineage, self._layers
        is_named = fine not in self._made or self._made[fine][0] != fine.name
        is_reviewed = lineage.final_of(layers, fine) is not None
        return is_named or is_reviewed or any(True for _ in lineage.results_of(layers, fine))

    def remove(self, earlier: Earlier, slices: Slices) -> None:
        """Remove what a new result renews, unless it was changed or removed meanwhile.

        Parameters
        ----------
        earlier : Earlier
            What was there when the refinement was started.
        slices : tuple of slices
            Part of the coarse map that the new result covers.
        """
        if earlier.fine not in self._layers:
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
        stamps = {stamp for layer in current for stamp in self._stamps(layer)}
        old = [layer for layer in results if layer not in current]
        edited = [layer for layer in old if self._stamps(layer) - stamps]
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

    def _stamps(self, layer: Labels) -> set[int]:
        return {stroke.stamp for stroke in self._strokes(layer)}

    def _remove(self, layers: list[Layer]) -> None:
        for layer in layers:
            if layer in self._layers:
                self._layers.remove(layer)


def _covers(scope: Scope, earlier: Scope) -> bool:
    """Return whether a scope surely covers an earlier one."""
    is_everywhere = scope.box is None and scope.mask is None
    return (
        (is_everywhere or _same_place(scope, earlier))
        and scope.classes in (None, earlier.classes)
        and scope.band in (None, earlier.band)
    )


def _same_place(scope: Scope, earlier: Scope) -> bool:
    """Return whether two scopes have the same box and mask."""
    if scope.mask is None or earlier.mask is None:
        return scope.box == earlier.box and scope.mask is earlier.mask
    mask, other = np.asarray(scope.mask[...]), np.asarray(earlier.mask[...])
    return scope.box == earlier.box and np.array_equal(mask, other)
