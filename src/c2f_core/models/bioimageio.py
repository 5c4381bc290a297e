"""Packages for bioimage.io: an ONNX model with a description, and data to test it with."""

from __future__ import annotations

import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from c2f_core.documents import first_problem
from c2f_core.errors import ConfigError
from c2f_core.models.metadata import CheckpointMetadata, Normalisation
from c2f_core.models.onnx_graph import COARSE, IMAGE, LOGITS, OPSET
from c2f_core.networks.encoding import one_hot
from c2f_core.networks.unet import UNet, generator_input

if TYPE_CHECKING:
    from bioimageio.spec.model.v0_5 import InputTensorDescr, ModelDescr, OutputTensorDescr

TEST_SIDE = 64
"""Smallest side of the test image in pixels."""
UNUSUAL = re.compile(r"[^A-Za-z0-9_+\- ()]")
"""Characters that names of models cannot have."""
README = """# {title}

A network of [napari-c2f](https://github.com/napari-c2f/napari-c2f) that turns a coarse class map
of an image into a fine one.

Inputs: `image`, 8-bit RGB{coarse}. Height and width are multiples of {stride} pixels.

Output: `logits`, one channel for each class. The class of a pixel is that with the largest logit.

Classes, in the order of the channels: {classes}.

In napari-c2f, choose the package as the model, which also adds confidence, tiles and scopes:
`c2f-refine IMAGE COARSE --output FINE --model {file}`

## Validation

Compare the fine maps with maps that were drawn with care, and the coarse maps with the same ones:
`c2f-evaluate {file} DATA`{scores}
"""
COARSE_INPUT = (
    ", and `coarse`, the coarse map with one channel for each class, 1 where the map has the class "
    "and 0 elsewhere (0 in all channels where it is unlabelled)"
)


@dataclass(frozen=True)
class Description:
    """What a package says about its model, besides what the metadata say.

    Attributes
    ----------
    title : str
        Name of the model.
    authors : tuple of str
        Names of the authors.
    licence : str or None
        SPDX identifier of the licence.
    """

    title: str
    authors: tuple[str, ...] = ()
    licence: str | None = None


def write_package(
    path: Path,
    generator: UNet,
    metadata: CheckpointMetadata,
    content: bytes,
    description: Description,
) -> None:
    """Write a package for bioimage.io.

    Parameters
    ----------
    path : Path
        File to write, with the suffix .zip.
    generator : UNet
        Trained generator, which computes the test data.
    metadata : CheckpointMetadata
        Metadata of the generator.
    content : bytes
        The generator as an ONNX model.
    description : Description
        What the package says about the model.

    Raises
    ------
    ConfigError
        If the format does not permit the title, an author or the licence.
    """
    from bioimageio.spec import save_bioimageio_package_to_stream

    temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with temporary as name, warnings.catch_warnings():
        # bioimageio.spec leaves closing the files that it reads to Python.
        warnings.simplefilter("ignore", ResourceWarning)
        folder = Path(name)
        (folder / "weights.onnx").write_bytes(content)
        for tensor, array in test_data(generator, metadata).items():
            np.save(folder / f"{tensor}.npy", array)
        text = _readme(generator, metadata, description)
        (folder / "README.md").write_text(text, encoding="utf-8")
        try:
            model = _described(folder, generator, metadata, description)
        except ValidationError as error:
            place, reason = first_problem(error)
            raise ConfigError(
                f"The format of bioimage.io does not permit this ({place}: {reason}); choose "
                "another title, author or licence."
            ) from error
        # Weights hardly shrink, and lists of models read what is not packed at once.
        with path.open("wb") as stream:
            save_bioimageio_package_to_stream(
                model, output_stream=stream, compression=ZIP_STORED, local_files_only=True
            )


def test_data(generator: UNet, metadata: CheckpointMetadata) -> dict[str, NDArray[Any]]:
    """Return an image of noise with a coarse map of stripes, and their logits.

    Parameters
    ----------
    generator : UNet
        Trained generator in evaluation mode.
    metadata : CheckpointMetadata
        Metadata of the generator.

    Returns
    -------
    dict of str to array
        By name of the input or output: (1, 3, Y, X) uint8 image, (1, C, Y, X) float32 coarse map
        unless the generator sees the image only, and (1, C, Y, X) float32 logits.
    """
    classes = generator.number_of_classes
    side = -(-TEST_SIDE // generator.stride) * generator.stride
    noise = np.random.default_rng(0).integers(0, 256, (1, 3, side, side), dtype=np.uint8)
    stripes = torch.arange(side).repeat(1, side, 1) * (classes + 1) // side
    coarse = one_hot(stripes, classes)  # The last stripe is unlabelled.
    normalisation = metadata.normalisation
    image = (torch.from_numpy(noise) - normalisation.mean) / normalisation.scale
    with torch.inference_mode():
        logits = generator(generator_input(image, coarse, generator.conditional))
    arrays = {IMAGE: noise, LOGITS: logits.contiguous().numpy()}
    return arrays | ({COARSE: coarse.numpy()} if generator.conditional else {})


def _readme(generator: UNet, metadata: CheckpointMetadata, description: Description) -> str:
    scores = [f"{name} {value:.4f}" for name, value in metadata.scores.items()]
    return README.format(
        title=description.title,
        coarse=COARSE_INPUT if generator.conditional else "",
        stride=generator.stride,
        classes=", ".join(metadata.class_table.names),
        file="PACKAGE.zip",
        scores=f"\n\nScores on the validation pairs of the training: {', '.join(scores)}."
        if scores
        else "",
    )


def _described(
    folder: Path, generator: UNet, metadata: CheckpointMetadata, description: Description
) -> ModelDescr:
    from bioimageio.spec.model import v0_5 as spec

    title = UNUSUAL.sub(" ", f"Coarse-to-fine refiner {description.title}").strip()
    inputs = [_image_input(folder, generator.stride, metadata.normalisation)]
    if generator.conditional:
        inputs.append(_coarse_input(folder, metadata.class_table.names))
    return spec.ModelDescr(
        name=title,
        description="Turns a coarse class map of an image into a fine one.",
        documentation=spec.FileDescr(source=folder / "README.md"),
        authors=[spec.Author(name=name) for name in description.authors],
        cite=[
            spec.CiteEntry(text="napari-c2f", url="https://github.com/napari-c2f/napari-c2f"),
        ],
        license=description.licence,
        tags=["napari-c2f", "semantic-segmentation", "unet", "2d"],
        inputs=inputs,
        outputs=[_logits_output(folder, metadata.class_table.names)],
        weights=spec.WeightsDescr(
            onnx=spec.OnnxWeightsDescr(source=folder / "weights.onnx", opset_version=OPSET)
        ),
    )


def _image_input(folder: Path, stride: int, normalisation: Normalisation) -> InputTensorDescr:
    from bioimageio.spec.model import v0_5 as spec

    size = spec.ParameterizedSize(min=stride, step=stride)
    return spec.InputTensorDescr(
        id=IMAGE,
        description="8-bit RGB image",
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=["red", "green", "blue"]),
            spec.SpaceInputAxis(id="y", size=size),
            spec.SpaceInputAxis(id="x", size=size),
        ],
        data=spec.IntervalOrRatioDataDescr(type="uint8", range=(0, 255)),
        preprocessing=[
            spec.FixedZeroMeanUnitVarianceDescr(
                kwargs=spec.FixedZeroMeanUnitVarianceKwargs(
                    mean=normalisation.mean, std=normalisation.scale
                )
            ),
            spec.EnsureDtypeDescr(kwargs=spec.EnsureDtypeKwargs(dtype="float32")),
        ],
        test_tensor=spec.FileDescr(source=folder / f"{IMAGE}.npy"),
    )


def _coarse_input(folder: Path, names: list[str]) -> InputTensorDescr:
    from bioimageio.spec.model import v0_5 as spec

    return spec.InputTensorDescr(
        id=COARSE,
        description="Coarse map, one-hot; 0 in all channels where it is unlabelled",
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=names),
            *(spec.SpaceInputAxis(id=axis, size=_as_in_image(axis)) for axis in "yx"),
        ],
        data=spec.IntervalOrRatioDataDescr(type="float32", range=(0, 1)),
        test_tensor=spec.FileDescr(source=folder / f"{COARSE}.npy"),
    )


def _logits_output(folder: Path, names: list[str]) -> OutputTensorDescr:
    from bioimageio.spec.model import v0_5 as spec

    return spec.OutputTensorDescr(
        id=LOGITS,
        description="Logits of the classes",
        axes=[
            spec.BatchAxis(),
            spec.ChannelAxis(channel_names=names),
            *(spec.SpaceOutputAxis(id=axis, size=_as_in_image(axis)) for axis in "yx"),
        ],
        test_tensor=spec.FileDescr(source=folder / f"{LOGITS}.npy"),
    )


def _as_in_image(axis: str) -> Any:
    from bioimageio.spec.model import v0_5 as spec

    return spec.SizeReference(tensor_id=IMAGE, axis_id=axis)
