"""Refiner with a trained network."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from c2f_core.classes.table import ClassTable
from c2f_core.device import choose_device, free_memory, memory_format
from c2f_core.errors import CheckpointError, ImageError, is_out_of_memory
from c2f_core.geometry.arrays import (
    Size,
    Sliceable,
    Window,
    extent,
    grown,
    to_corner,
    whole,
)
from c2f_core.models.bundled import BUNDLED_FOLDER, MODEL_FILES, bundled_models, stem_of
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, takes_any_classes
from c2f_core.models.onnx_network import OnnxNetwork
from c2f_core.models.package import is_exported
from c2f_core.networks.colour_prior import with_colour_models
from c2f_core.networks.encoding import image_to_tensor, most_likely
from c2f_core.networks.inference import for_inference, with_strided_stem
from c2f_core.networks.unet import UNet
from c2f_core.refine.class_agnostic.refiner import ClassAgnosticRefiner
from c2f_core.refine.interface import (
    ClassIds,
    Confidence,
    Monitor,
    RefinerInterface,
)
from c2f_core.refine.tiling import blend, spans

SMALLEST_OVERLAP = 128
OVERLAP_STRIDES = 8
"""Overlap of tiles in strides of the network. Three eighths of it are discarded, and pixels farther
away than three strides hardly matter."""
LARGEST_TILE = {"cuda": 2048}
"""Side of the largest tile in pixels, by type of device."""
LARGEST_TILE_ELSEWHERE = 1024
"""On a CPU, a tile of this side takes about a second, and so does cancelling."""
LARGEST_MEMORY = 2 << 30
"""Memory in bytes that one tile may take on a CPU. With many classes it keeps tiles small, so that
progress and cancelling do not wait for long."""
DECIDED = 1 << 24
"""Number of logits that become classes at a time, to bound the memory."""
MEMORY_SHARE = 0.5
"""Share of the free memory that one tile may take."""


class Refiner(RefinerInterface):
    """Trained generator that refines images of any size.

    Small images are refined as a whole, large ones in overlapping tiles whose
    logits are blended. Create a refiner with `Refiner.bundled` or `Refiner.load`, which
    open models for any classes, too.

    Parameters
    ----------
    generator : UNet or OnnxNetwork
        Trained generator; the refiner works with a copy of it.
    metadata : CheckpointMetadata
        Class table, normalisation, temperature and config of the generator.
    name : str
        Name shown to the user.
    device : str
        "auto", "cpu", "cuda" (or "cuda:1" and so on) or "mps".
    average_flips : bool
        Whether to average the logits over the image and its mirror image, which
        takes twice the time.
    source : Path, optional
        File from which the generator was loaded.

    Raises
    ------
    ConfigError
        If the device does not exist.
    """

    def __init__(
        self,
        generator: UNet | OnnxNetwork,
        metadata: CheckpointMetadata,
        *,
        name: str,
        device: str = "auto",
        average_flips: bool = False,
        source: Path | None = None,
    ) -> None:
        self.name = name
        self.source = source
        self.metadata = metadata
        self.class_table = metadata.class_table
        self.average_flips = average_flips
        self.confidence_weight = 1.0
        self.usual_displacement = metadata.coarse_displacement
        if isinstance(generator, UNet):
            self.device = choose_device(device)
            generator = _on_device(generator, self.device)
        else:
            self.device = choose_device("cpu")  # onnxruntime takes its inputs from there.
        self._generator = generator
        self._one_hot = _one_hot_channels(self._generator).to(self.device)

    @classmethod
    def bundled(
        cls,
        name: str = "fasseg",
        device: str = "auto",
        *,
        average_flips: bool = False,
        class_table: ClassTable | None = None,
    ) -> RefinerInterface:
        """Load a model that is bundled with the package.

        Parameters
        ----------
        name : str
            Name of the bundled model: "fasseg" for faces, or "any" for any classes.
        device, average_flips, class_table
            See `Refiner.load`.

        Returns
        -------
        Refiner or ClassAgnosticRefiner

        Raises
        ------
        CheckpointError
            If there is no bundled model of this name.
        ConfigError
            If the device does not exist.
        """
        if name not in bundled_models():
            raise CheckpointError(
                f"There is no bundled model '{name}'; choose one of "
                f"{', '.join(bundled_models()) or 'none'}, or give a {MODEL_FILES} file."
            )
        path = BUNDLED_FOLDER / f"{name}.safetensors"
        return cls.load(path, device, average_flips=average_flips, class_table=class_table)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        *,
        average_flips: bool = False,
        class_table: ClassTable | None = None,
    ) -> RefinerInterface:
        """Load a model file, without executing anything in it.

        Parameters
        ----------
        path : str or Path
            Checkpoint (.safetensors), or a model that `share_model` wrote: ONNX
            (.onnx), or a bioimage.io package (.zip, or `rdf.yaml` in its folder). The
            latter need the extra `share`.
        device : str
            Device to compute on; see `Refiner`.
        average_flips : bool
            Whether to average over the image and its mirror image; see `Refiner`.
        class_table : ClassTable, optional
            Class table of the coarse and fine maps, for a model for any classes; by
            default, labels 0 to 253 are classes, and 255 is unlabelled. Other models
            have their own class table.

        Returns
        -------
        Refiner or ClassAgnosticRefiner

        Raises
        ------
        CheckpointError
            If the file is missing, damaged or not a model of this program.
        ConfigError
            If the device does not exist, or cannot run ONNX models.
        MissingPackageError
            If the packages that ONNX models need are not installed.
        """
        if takes_any_classes(path):
            return ClassAgnosticRefiner.load(path, class_table, device, average_flips=average_flips)
        path = Path(path)
        generator: UNet | OnnxNetwork
        if is_exported(path):
            generator, metadata = OnnxNetwork.load(path, device)
        else:
            generator, metadata = load_checkpoint(path)
        return cls(
            generator,
            metadata,
            name=stem_of(path),
            device=device,
            average_flips=average_flips,
            source=path,
        )

    def refine_ids(
        self, rgb: NDArray[np.uint8], class_ids: ClassIds, monitor: Monitor, /
    ) -> tuple[ClassIds, Confidence]:
        """Refine one coarse map of class ids; see `RefinerInterface.refine_ids`.

        The confidence is the largest class probability, calibrated by the
        temperature of the checkpoint.
        """
        return self.assembled(rgb, class_ids, monitor)

    def refine_parts(
        self,
        rgb: Sliceable,
        class_ids: Sliceable,
        monitor: Monitor,
        /,
        place: Window | None = None,
    ) -> Iterator[tuple[Window, ClassIds, Confidence]]:
        """Refine one coarse map tile by tile; see `RefinerInterface.refine_parts`."""
        size = class_ids.shape[0], class_ids.shape[1]
        window = self.receptive_window(place or whole(size), size)
        tile = self._tile_side()
        while True:
            try:
                yield from self._refine_in_tiles(rgb, class_ids, window, tile, monitor)
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                tile = min(tile, max(extent(window))) // 2
                if tile < 2 * self._overlap:
                    raise ImageError(
                        "There is not enough memory to refine this image; close other programs, "
                        "choose the CPU or refine a part of the image."
                    ) from error
            # Outside the handler, because the traceback keeps tensors alive.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def receptive_window(self, part: Window, size: Size, /) -> Window:
        """Return the window of an image on which the result in a part depends.

        The window covers the receptive field of the part, on the grid on which the
        network samples the whole image. The result in the part is that of the whole
        image if both fit into one tile, and as close to it as tiles are if they do
        not, if flips are averaged or if colours count.
        """
        return grown(part, self._generator.reach, size, self._generator.stride)

    def _refine_in_tiles(
        self, rgb: Sliceable, class_ids: Sliceable, window: Window, tile: int, monitor: Monitor
    ) -> Iterator[tuple[Window, ClassIds, Confidence]]:
        height, width = extent(window)
        rows = spans(height, tile, self._overlap, self._generator.stride)
        columns = spans(width, tile, self._overlap, self._generator.stride)
        tiles = monitor.split([1] * (len(rows) * len(columns)))

        @torch.inference_mode()
        def logits_of(row: slice, column: slice) -> Tensor:
            monitor.raise_if_stopped()
            there = to_corner((row, column), window)
            logits = self._logits(rgb[there], class_ids[there])
            next(tiles).report(1.0)
            return logits

        for finished_rows, finished_columns, logits in blend(rows, columns, logits_of):
            finished = to_corner((finished_rows, finished_columns), window)
            yield finished, *self._decide(logits)
        monitor.raise_if_stopped()

    def _logits(self, rgb: NDArray[np.uint8], class_ids: ClassIds) -> Tensor:
        """Compute the logits (C, Y, X) of one tile from (Y, X, 3) and (Y, X)."""
        inputs = self._inputs(rgb, class_ids)
        logits: Tensor = self._generator(inputs)
        if self.average_flips:
            logits = (logits + self._generator(inputs.flip(-1)).flip(-1)) / 2
        if self.metadata.config.colour_weight:
            image = image_to_tensor(rgb).to(self.device)
            logits = with_colour_models(logits, image, self.metadata.config.colour_weight)
        return logits[0]

    def _inputs(self, rgb: NDArray[np.uint8], class_ids: ClassIds) -> Tensor:
        """Return the input (1, 3 + C, Y, X) for (Y, X, 3) and (Y, X), channels last in memory."""
        normalisation = self.metadata.normalisation
        known = torch.from_numpy(np.array(class_ids)).to(self.device)
        # The lookup writes all channels in one pass, which takes half the time of one by one.
        inputs = functional.embedding(known.int(), self._one_hot)
        pixels = torch.from_numpy(np.array(rgb)).to(self.device)
        inputs[..., :3] = (pixels - normalisation.mean) / normalisation.scale
        return inputs[None].permute(0, 3, 1, 2)

    def _decide(self, logits: Tensor) -> tuple[ClassIds, Confidence]:
        """Turn (C, Y, X) logits into (Y, X) class ids and their confidence."""
        fine = np.empty(logits.shape[1:], dtype=np.uint8)
        confidence = np.empty(logits.shape[1:], dtype=np.float32)
        step = max(1, DECIDED // (logits.shape[0] * logits.shape[2]))
        for start in range(0, logits.shape[1], step):
            rows = slice(start, start + step)
            fine[rows], confidence[rows] = self._decide_rows(logits[:, rows])
        return fine, confidence

    @torch.inference_mode()
    def _decide_rows(self, logits: Tensor) -> tuple[ClassIds, Confidence]:
        # Reductions over the classes are several times quicker with channels first in memory.
        planes = logits.clone(memory_format=torch.contiguous_format)
        classes = most_likely(planes[None])[0]
        # The softmax of the largest logit; that of the others is not needed.
        planes.sub_(planes.amax(dim=0)).div_(self.metadata.temperature)
        confidence = planes.exp_().sum(dim=0).reciprocal_()
        if not confidence.sum().isfinite():  # The sum is not finite if a single value is not.
            raise CheckpointError(
                f"The model '{self.name}' computes values that are not finite; its weights are "
                "damaged, so choose another checkpoint."
            )
        return classes.cpu().numpy(), confidence.cpu().numpy()

    @property
    def _overlap(self) -> int:
        return max(SMALLEST_OVERLAP, OVERLAP_STRIDES * self._generator.stride)

    def _tile_side(self) -> int:
        """Largest side of a tile in pixels that is quick enough and fits into the free memory."""
        side = LARGEST_TILE.get(self.device.type, LARGEST_TILE_ELSEWHERE)
        budget = MEMORY_SHARE * free_memory(self.device)
        if self.device.type == "cpu":
            budget = min(budget, LARGEST_MEMORY)
        while (
            side // 2 >= 2 * self._overlap and side**2 * bytes_per_pixel(self._generator) > budget
        ):
            side //= 2
        return max(side, 2 * self._overlap)


def _on_device(generator: UNet, device: torch.device) -> UNet:
    """Return a copy of a generator for inference on a device."""
    copy = for_inference(generator)
    if device.type == "cpu":
        with_strided_stem(copy)
    copy.to(device, memory_format=memory_format(device))  # type: ignore[call-overload]
    return copy


def _one_hot_channels(generator: UNet | OnnxNetwork) -> Tensor:
    """Return the input channels (256, 3 + C) of a black pixel by its coarse class id."""
    channels = torch.zeros(256, generator.in_channels)
    channels[:, 3:].fill_diagonal_(1)
    return channels


def bytes_per_pixel(generator: UNet | OnnxNetwork) -> int:
    """Return an upper estimate of the memory that a forward pass takes per pixel, in bytes.

    At its peak, memory contains all skip connections and, at the finest level, the
    upsampled features, their concatenation with the skip connection and two more
    feature maps of that size.
    """
    config = generator.config
    features = sum(
        8 * width / (config.stem * 2**level) ** 2 for level, width in enumerate(config.widths)
    )
    borders = 3 * generator.in_channels + 4 * generator.number_of_classes
    return int(4 * (features + borders))
