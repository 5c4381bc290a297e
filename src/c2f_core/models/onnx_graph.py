"""A trained generator as an ONNX model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import nn

from c2f_core.models.metadata import METADATA_KEY, CheckpointMetadata
from c2f_core.networks.inference import for_inference, with_strided_stem
from c2f_core.networks.unet import IMAGE_CHANNELS, ConvolutionBlock, UNet, UpBlock

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

IMAGE, COARSE, LOGITS = "image", "coarse", "logits"
"""Names of the inputs and the output."""
OPSET, IR_VERSION = 17, 8
"""Versions of ONNX that onnxruntime 1.12 and newer can run."""


def onnx_model(generator: UNet, metadata: CheckpointMetadata) -> ModelProto:
    """Convert a generator to an ONNX model, with the metadata as a property of the model.

    The input `image` is (N, 3, Y, X) float32, normalised as the metadata say; `coarse` is
    (N, C, Y, X) float32, one-hot and all zero where unlabelled, and exists if the generator is
    conditional. The output `logits` is (N, C, Y, X). N is any number, and Y and X are any multiples
    of the stride of the generator.

    Parameters
    ----------
    generator : UNet
        Trained generator; it is not changed.
    metadata : CheckpointMetadata
        Metadata of the generator.

    Returns
    -------
    onnx.ModelProto
        Model with weights in float32. Normalisations are fused with convolutions; the logits are
        the same except for rounding.
    """
    from onnx import helper

    network = with_strided_stem(for_inference(generator).float())
    graph = _Graph()
    graph.add_network(network)
    classes = network.number_of_classes
    inputs = [_value(IMAGE, IMAGE_CHANNELS)]
    if network.conditional:
        inputs.append(_value(COARSE, classes))
    outputs = [_value(LOGITS, classes)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "c2f", inputs, outputs, graph.weights),
        producer_name="napari-c2f",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, {METADATA_KEY: metadata.model_dump_json()})
    return model


def _value(name: str, channels: int) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "Y", "X"])


class _Graph:
    """Nodes and weights of a graph, in the order in which they compute."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add_network(self, network: UNet) -> None:
        """Add a U-Net for inference, whose stem is its first convolution."""
        features = self._add("Concat", IMAGE, COARSE, axis=1) if network.conditional else IMAGE
        skips = []
        for level, block in enumerate(network.down):
            if level:
                features = self._add("MaxPool", features, kernel_shape=[2, 2], strides=[2, 2])
            features = self._add_block(cast(ConvolutionBlock, block), features)
            skips.append(features)
        for up, skip in zip(cast(list[UpBlock], network.up), skips[-2::-1], strict=True):
            features = self._add_convolution("ConvTranspose", up.up, features)
            features = self._add("Concat", skip, features, axis=1)
            features = self._add_block(up.block, features)
        features = self._add_convolution("Conv", network.head, features)
        # In ONNX, the order CRD is that of torch's pixel shuffle.
        self._add("DepthToSpace", features, blocksize=network.config.stem, mode="CRD")
        self.nodes[-1].output[0] = LOGITS

    def _add_block(self, block: ConvolutionBlock, features: str) -> str:
        for layer in block:
            if isinstance(layer, nn.Conv2d):
                features = self._add_convolution("Conv", layer, features)
            elif isinstance(layer, nn.ReLU):
                features = self._add("Relu", features)
        return features

    def _add_convolution(
        self, operator: str, layer: nn.Conv2d | nn.ConvTranspose2d, features: str
    ) -> str:
        from onnx import numpy_helper

        names = []
        for kind, tensor in layer.named_parameters():  # Weight and bias, in this order.
            names.append(f"{kind}_{len(self.nodes)}")
            array = np.ascontiguousarray(tensor.numpy())
            self.weights.append(numpy_helper.from_array(array, names[-1]))
        return self._add(
            operator,
            features,
            *names,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=2 * [int(padding) for padding in layer.padding],
        )

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output
