"""Score maps with the discriminator of a Model 2 run: where they look real, and where not."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from c2f_core.classes.table import ClassTable
from c2f_core.device import choose_device
from c2f_core.errors import CheckpointError
from c2f_core.losses.adversarial import realness
from c2f_core.models.metadata import read_metadata
from c2f_core.networks.discriminators import Discriminator, build_discriminator
from c2f_core.networks.encoding import at_pixels, image_to_tensor, one_hot
from c2f_core.refine.interface import Monitor, ShouldStop, encode_inputs
from c2f_core.refine.tiling import Span, blend, spans
from c2f_core.training.run_folder import RunFolder, has_discriminator

TILE, OVERLAP = 1024, 128
"""Side length of the tiles and overlap of neighbours, in pixels."""


class DiscriminatorScorer:
    """Score maps of any size with a trained discriminator; make one with `load`.

    Parameters
    ----------
    discriminator : Discriminator
        Trained network; it is moved to the device and put into evaluation mode.
    class_table : ClassTable
        Class table of the maps to score.
    loss : str
        Adversarial loss of its training, a key of `ADVERSARIAL_LOSSES`.
    device : str
        Name of the device, as for `Refiner`.

    Raises
    ------
    ConfigError
        If the device does not exist.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        class_table: ClassTable,
        loss: str,
        device: str = "auto",
    ) -> None:
        self.class_table = class_table
        self._loss = loss
        self._device = choose_device(device)
        self._network = discriminator.eval().requires_grad_(False).to(self._device)

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> "DiscriminatorScorer":
        """Load the discriminator that was trained with a generator.

        It is read from the last state of the run, as checkpoints contain only the
        generator; nothing in it is executed.

        Parameters
        ----------
        model : str or Path
            Checkpoint of the generator in the run folder of its stage.
        device : str
            Name of the device, as for `Refiner`.

        Returns
        -------
        DiscriminatorScorer
            Scorer for maps of the model's class table.

        Raises
        ------
        CheckpointError
            If the run has no discriminator, or it is damaged.
        ConfigError
            If the device does not exist.
        """
        if not has_discriminator(model):
            raise CheckpointError(
                f"{model} was trained without a discriminator, or its run folder is missing; "
                "choose a checkpoint in the folder of a model2 run."
            )
        folder, table = RunFolder(Path(model).parent), read_metadata(model).class_table
        config = folder.read_config()
        discriminator = build_discriminator(config.discriminator, table.number_of_classes)
        state = folder.read_state()
        with folder.fitting_state():
            discriminator.load_state_dict(state["discriminator"]["network"])
        return cls(discriminator, table, config.stage1.loss, device)

    def realism_map(
        self,
        image: NDArray[Any],
        labels: NDArray[Any],
        *,
        should_stop: ShouldStop | None = None,
    ) -> NDArray[np.float32]:
        """Score how real each pixel of a map looks.

        Parameters
        ----------
        image : (Y, X) or (Y, X, 1, 3 or 4) array
            Grey, RGB or RGBA image.
        labels : (Y, X) integer array
            Label values of this scorer's class table.
        should_stop : callable, optional
            Function that is called between tiles; scoring ends when it returns True.

        Returns
        -------
        (Y, X) float32 array
            Scores in [0, 1]; 1 looks real. A discriminator of whole images gives all
            pixels of a tile the same score.

        Raises
        ------
        ImageError, ClassTableError
            If shapes, dtypes or labels do not fit.
        Cancelled
            If `should_stop` returned True.
        """
        monitor = Monitor(should_stop=should_stop)
        rgb, class_ids = encode_inputs(image, labels, self.class_table)
        rows, columns = (self._spans(length) for length in class_ids.shape)

        def scores_of(row: slice, column: slice) -> Tensor:
            monitor.raise_if_stopped()
            return self._scores(rgb[row, column], class_ids[row, column])

        scores = np.empty(class_ids.shape, dtype=np.float32)
        with torch.inference_mode():
            for *window, values in blend(rows, columns, scores_of):
                scores[*window] = values[0].cpu().numpy()
        return scores

    def _spans(self, length: int) -> list[Span]:
        return spans(length, TILE, OVERLAP, self._network.stride)

    def _scores(self, rgb: NDArray[np.uint8], class_ids: NDArray[np.uint8]) -> Tensor:
        """Score one tile, (Y, X, 3) and (Y, X); return (1, Y, X)."""
        images = image_to_tensor(np.ascontiguousarray(rgb)).to(self._device)
        known = torch.from_numpy(np.array(class_ids))[None].to(self._device)
        maps = one_hot(known, self.class_table.number_of_classes)
        logits = self._network(images, maps).float()
        return at_pixels(realness(logits, self._loss), class_ids.shape)
