"""Checks of an ONNX model before it is run: what it can do, and how much memory it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_core.errors import CheckpointError
from c2f_core.models.onnx_graph import COARSE, IMAGE, LOGITS
from c2f_core.networks.unet import IMAGE_CHANNELS, UNet

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto

OPERATORS = frozenset(
    {
        *("Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose"),
        *("DepthToSpace", "Identity", "LeakyRelu", "MaxPool", "Mul", "Relu", "Sigmoid"),
        "SpaceToDepth",
    }
)
"""Operators of convolutional networks. They contain no other graph, read no file, and the size of
their results follows from that of their inputs."""
LARGEST_ATTRIBUTE = 1024
"""Largest stride, kernel size and so on of a node."""
LARGEST_SIDE = 1 << 20
"""Largest size of an axis between two nodes, for an image of one stride."""
LARGEST_EXCESS = 4
"""By how much the results of all nodes may exceed those of the network in the metadata."""
FOREIGN = "it computes more than a convolutional network"


def check_graph(content: bytes, outline: UNet, path: Path) -> None:
    """Check that an ONNX model is a network like the one that its metadata describe.

    Parameters
    ----------
    content : bytes
        The model.
    outline : UNet
        Generator that the metadata describe; its weights are not used.
    path : Path
        File of the model, for error messages.

    Raises
    ------
    CheckpointError
        If the model is damaged, refers to other files, has other operators than
        `OPERATORS`, other inputs or outputs, or takes far more memory.
    """
    from google.protobuf.message import DecodeError
    from onnx import load_model_from_string

    try:
        model = load_model_from_string(content)
    except DecodeError as error:
        raise _refused(path, "it is damaged") from error
    reason = (
        _foreign_part(model)
        or _wrong_weights(model.graph)
        or _wrong_values(model.graph, outline)
        or _wrong_sizes(model, outline)
    )
    if reason:
        raise _refused(path, reason)


def _refused(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"The network in {path} is not that of its description ({reason}); export the model again."
    )


def _foreign_part(model: ModelProto) -> str:
    """Return what the model can do beyond computing like a convolutional network."""
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer:
        return FOREIGN
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            return f"it uses {node.op_type[:40]!r}, which is not allowed"
        if not all(_is_plain(attribute) for attribute in node.attribute):
            return FOREIGN
    return ""


def _is_plain(attribute: AttributeProto) -> bool:
    """Return whether an attribute is a text, or numbers of a usual size."""
    from onnx import AttributeProto

    if attribute.type in (AttributeProto.INT, AttributeProto.INTS):
        return all(abs(value) <= LARGEST_ATTRIBUTE for value in (attribute.i, *attribute.ints))
    return attribute.type in (AttributeProto.FLOAT, AttributeProto.STRING)


def _wrong_weights(graph: GraphProto) -> str:
    for tensor in graph.initializer:
        if tensor.external_data or tensor.data_location:
            return "its weights are in another file"
        if not _is_complete(tensor):
            return "its weights are damaged"
    return ""


def _is_complete(tensor: TensorProto) -> bool:
    """Return whether a tensor has as many float32 values as its dimensions say."""
    from onnx import TensorProto

    count = len(tensor.raw_data) / 4 if tensor.raw_data else len(tensor.float_data)
    return (
        tensor.data_type == TensorProto.FLOAT
        and all(size > 0 for size in tensor.dims)
        and math.prod(tensor.dims) == count
    )


def _wrong_values(graph: GraphProto, outline: UNet) -> str:
    """Return what is wrong with the inputs and outputs."""
    classes = outline.number_of_classes
    wanted = {IMAGE: IMAGE_CHANNELS, LOGITS: classes}
    if outline.conditional:
        wanted[COARSE] = classes
    weights = {tensor.name for tensor in graph.initializer}
    values = [value for value in (*graph.input, *graph.output) if value.name not in weights]
    found = {value.name: _channels(value) for value in values}
    if found == wanted and len(values) == len(wanted):
        return ""
    return f"it has the channels {_listed(found)} in place of {_listed(wanted)}"


def _channels(value: ValueInfoProto) -> int:
    """Return the number of channels of float32 values (N, C, Y, X); 0 for any others."""
    from onnx import TensorProto

    sizes = value.type.tensor_type.shape.dim
    is_float = value.type.tensor_type.elem_type == TensorProto.FLOAT
    return int(sizes[1].dim_value) if is_float and len(sizes) == 4 else 0


def _listed(channels: dict[str, int]) -> str:
    return ", ".join(f"{name[:40]} {count}" for name, count in sorted(channels.items())[:9])


def _wrong_sizes(model: ModelProto, outline: UNet) -> str:
    """Return what is wrong with the sizes of the results of all nodes, for a small image."""
    from onnx.shape_inference import InferenceError, infer_shapes

    try:
        inferred = infer_shapes(_outline_of(model, outline.stride), strict_mode=True)
    except (InferenceError, ValueError):
        return "its layers do not fit together"
    shapes = dict(_shapes(inferred))
    names = [name for node in model.graph.node for name in node.output if name]
    if not all(name in shapes for name in names):
        return "its layers do not fit together"
    if any(not 0 < size <= LARGEST_SIDE for name in names for size in shapes[name]):
        return "its layers have absurd sizes"
    if shapes[LOGITS] != (1, outline.number_of_classes, outline.stride, outline.stride):
        return "its result has another size than the image"
    if sum(math.prod(shapes[name]) for name in names) > LARGEST_EXCESS * _usual_count(outline):
        return "it takes far more memory"
    return ""


def _outline_of(model: ModelProto, side: int) -> ModelProto:
    """Return the model without the values of its weights, for an image of this side."""
    from onnx import ModelProto, helper

    outline = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    outline.graph.node.extend(model.graph.node)
    outline.graph.name = "outline"
    channels = {value.name: _channels(value) for value in model.graph.input}
    sizes = {name: (1, count, side, side) for name, count in channels.items()}
    sizes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for name, shape in sizes.items():
        outline.graph.input.append(helper.make_tensor_value_info(name, 1, shape))
    outline.graph.output.append(helper.make_tensor_value_info(LOGITS, 1, None))
    return outline


def _shapes(model: ModelProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    for value in (*model.graph.value_info, *model.graph.output):
        yield value.name, tuple(size.dim_value for size in value.type.tensor_type.shape.dim)


def _usual_count(outline: UNet) -> int:
    """Return how many values the layers of a generator compute for an image of one stride."""
    config, stride = outline.config, outline.stride
    cells = [(stride // (config.stem * 2**level)) ** 2 for level in range(len(config.widths))]
    layers = sum(10 * width * count for width, count in zip(config.widths, cells, strict=True))
    return int(layers + (outline.in_channels + 2 * outline.number_of_classes) * stride**2)
