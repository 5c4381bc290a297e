"""Refiner with the class-agnostic network, which takes the class table of the coarse map."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from c2f_core.classes.codec import MAX_CLASSES, UNLABELLED_ID
from c2f_core.classes.table import ClassEntry, ClassTable
from c2f_core.device import choose_device, computes_in_bfloat16, memory_format
from c2f_core.errors import CheckpointError
from c2f_core.geometry.arrays import Window, area, extent, from_corner, grown, halves
from c2f_core.models.checkpoint import load_class_agnostic
from c2f_core.models.metadata import ClassAgnosticMetadata
from c2f_core.networks.class_agnostic import ClassAgnosticNetwork
from c2f_core.networks.inference import for_inference
from c2f_core.refine.class_agnostic.evidence import NetworkEvidence, evidence_of
from c2f_core.refine.instant.posterior import InstantModel
from c2f_core.refine.instant.refiner import ClassProbabilities, WindowRefiner

HALO = 64
"""Surroundings in pixels that the network sees of a window."""
CONFIDENCE_WEIGHT = 0.5
"""Weight of the network's confidence in what a change is expected to gain.

Without the confidence, many good changes are rejected; alone, it keeps too many bad ones.
"""
LARGEST_SIDE, SMALLEST_SIDE = 512, 64
"""Sides in pixels of windows that are always cut, and that are never cut."""
LARGEST_WINDOW = 6 << 20
"""Number of pixels times classes that a window may have with its surroundings.

They take about a gigabyte.
"""


class ClassAgnosticRefiner(WindowRefiner):
    """Trained network for maps of any classes, which corrects the instant refiner.

    Only what is near a coarse boundary or unlabelled can change, as with the instant
    refiner. Memory does not grow with the size of the image; a window with many classes
    is cut into smaller ones. Create a refiner with `ClassAgnosticRefiner.load`, or with
    `c2f_core.refine.learned.Refiner.bundled`.

    Parameters
    ----------
    network : ClassAgnosticNetwork
        Trained network; the refiner works with a copy of it.
    metadata : ClassAgnosticMetadata
        Normalisation and temperature of the network.
    name : str
        Name shown to the user.
    class_table : ClassTable, optional
        Class table of the coarse and fine maps, by default `numbered_classes`.
    device : str
        "auto", "cpu", "cuda" (or "cuda:1" and so on) or "mps".
    average_flips : bool
        Whether to average the logits over the image and its mirror image, which
        takes twice the time.
    source : Path, optional
        File from which the network was loaded.

    Raises
    ------
    ConfigError
        If the device does not exist.
    """

    def __init__(
        self,
        network: ClassAgnosticNetwork,
        metadata: ClassAgnosticMetadata,
        *,
        name: str,
        class_table: ClassTable | None = None,
        device: str = "auto",
        average_flips: bool = False,
        source: Path | None = None,
    ) -> None:
        super().__init__(class_table or numbered_classes())
        self.name = name
        self.source = source
        self.metadata = metadata
        self.device = choose_device(device)
        self.average_flips = average_flips
        self.confidence_weight = CONFIDENCE_WEIGHT
        self._network = for_inference(network)
        layout = memory_format(self.device)
        self._network.to(self.device, memory_format=layout)  # type: ignore[call-overload]

    @classmethod
    def load(
        cls,
        path: str | Path,
        class_table: ClassTable | None = None,
        device: str = "auto",
        *,
        average_flips: bool = False,
    ) -> "ClassAgnosticRefiner":
        """Load a checkpoint file, without executing anything in it.

        Parameters
        ----------
        path : str or Path
            Path of the .safetensors file.
        class_table : ClassTable, optional
            Class table of the coarse and fine maps, by default `numbered_classes`.
        device : str
            Device to compute on; see `ClassAgnosticRefiner`.
        average_flips : bool
            Whether to average over the image and its mirror image; see
            `ClassAgnosticRefiner`.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, or not of a class-agnostic network.
        ConfigError
            If the device does not exist.
        """
        network, metadata = load_class_agnostic(path)
        return cls(
            network,
            metadata,
            name=Path(path).stem,
            class_table=class_table,
            device=device,
            average_flips=average_flips,
            source=Path(path),
        )

    def windows(self, model: InstantModel, place: Window) -> list[Window]:
        """Return the windows in which something may change, smaller where there are many classes.

        Parameters and result are those of `WindowRefiner.windows`.
        """
        if not model.part.may_change(place):
            return []
        side = max(extent(place))
        if side <= SMALLEST_SIDE or (side <= LARGEST_SIDE and self._is_small(model, place)):
            return [place]
        return [window for half in halves(place) for window in self.windows(model, half)]

    def _is_small(self, model: InstantModel, window: Window) -> bool:
        seen = self._seen(model, window)
        candidates = model.learned.classes.candidates(model.part, seen)
        return len(candidates) * area(seen) <= LARGEST_WINDOW

    def _seen(self, model: InstantModel, window: Window) -> Window:
        return grown(window, HALO, model.part.size, self._network.stride)

    def probabilities(self, model: InstantModel, window: Window) -> ClassProbabilities:
        """Return what the network says about a window; see `WindowRefiner.probabilities`.

        Raises
        ------
        CheckpointError
            If the output of the network is not finite.
        """
        seen = self._seen(model, window)
        inner = from_corner(window, seen)
        found = evidence_of(model, seen)
        with torch.inference_mode():
            logits = self._logits(model.part.rgb[seen], found)[:, *inner]
            probabilities = logits.div(self.metadata.temperature).softmax(dim=0)
        if not probabilities.sum().isfinite():
            raise CheckpointError(
                f"The model '{self.name}' computes values that are not finite; its weights are "
                "damaged, so choose another checkpoint."
            )
        return ClassProbabilities(
            found.candidates, probabilities.cpu().numpy(), found.distinct[inner]
        )

    def _logits(self, rgb: NDArray[np.uint8], found: NetworkEvidence) -> Tensor:
        """Compute the logits (K, Y, X) of a window."""
        layout = memory_format(self.device)
        normalisation = self.metadata.normalisation
        pixels = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None]
        image = (pixels.float() - normalisation.mean) / normalisation.scale
        image = image.to(self.device, memory_format=layout)
        channels = torch.from_numpy(found.channels).to(self.device, memory_format=layout)
        logits = self._forward(image, channels)
        if self.average_flips:
            logits = (logits + self._forward(image.flip(-1), channels.flip(-1)).flip(-1)) / 2
        return logits

    def _forward(self, image: Tensor, channels: Tensor) -> Tensor:
        kind = self.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=computes_in_bfloat16(kind)):
            logits: Tensor = self._network(image, channels, [len(channels)])
        return logits


def numbered_classes() -> ClassTable:
    """Return the class table of maps without one: labels 0 to 253, and 255 where unlabelled."""
    return ClassTable(
        name="numbers",
        classes=tuple(
            ClassEntry(name=f"class {number}", index=number, colour=(number,) * 3)
            for number in range(MAX_CLASSES)
        ),
        unlabelled=ClassEntry(name="unlabelled", index=UNLABELLED_ID, colour=(255, 255, 255)),
    )
