"""Features of an image at four resolutions: the first stages of EfficientNet-lite0.

The architecture is that of Tan and Le, "EfficientNet: Rethinking Model Scaling for
Convolutional Neural Networks" (ICML 2019), in the "lite" variant without squeeze and
excitation and with ReLU6. Batch normalisation is merged into the convolutions, as the
weights are not trained here: they come from training on ImageNet.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from c2f_core.networks.unet import IMAGE_CHANNELS

STEM_WIDTH = 32


class _Stage(NamedTuple):
    """Shape of a stage: repeated inverted bottlenecks, of which the first has the stride."""

    kernel: int
    stride: int
    expansion: int
    width: int
    repeats: int
    is_output: bool


STAGES = (
    _Stage(3, 1, 1, 16, 1, True),
    _Stage(3, 2, 6, 24, 2, True),
    _Stage(5, 2, 6, 40, 2, True),
    _Stage(3, 2, 6, 80, 3, False),
    _Stage(5, 1, 6, 112, 3, True),
)
FEATURE_WIDTHS = tuple(stage.width for stage in STAGES if stage.is_output)
"""Number of channels of the features at strides of 2, 4, 8 and 16 pixels."""


class ImageEncoder(nn.Module):
    """Fixed network from an image to features at four resolutions.

    Its weights need no gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(IMAGE_CHANNELS, STEM_WIDTH, 3, stride=2)
        stages, before = [], STEM_WIDTH
        for stage in STAGES:
            widths = [before] + [stage.width] * (stage.repeats - 1)
            stages.append(
                nn.Sequential(
                    *(
                        _Bottleneck(width, stage, stage.stride if number == 0 else 1)
                        for number, width in enumerate(widths)
                    )
                )
            )
            before = stage.width
        self.stages = nn.ModuleList(stages)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the features.

        Parameters
        ----------
        images : (N, 3, Y, X) float tensor
            RGB images in [-1, 1]; Y and X are multiples of 16.

        Returns
        -------
        list of (N, C, Y / stride, X / stride) float tensors
            Features at strides of 2, 4, 8 and 16 pixels; see `FEATURE_WIDTHS`.
        """
        features = functional.relu6(self.stem(_padded_for(images, 3, 2)))
        found = []
        for stage, blocks in zip(STAGES, self.stages, strict=True):
            features = blocks(features)
            if stage.is_output:
                found.append(features)
        return found


class _Bottleneck(nn.Module):
    """Inverted bottleneck (Sandler et al., "MobileNetV2", CVPR 2018)."""

    def __init__(self, before: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        inner = before * stage.expansion
        self.kernel, self.stride = stage.kernel, stride
        self.is_residual = stride == 1 and before == stage.width
        self.expand = nn.Conv2d(before, inner, 1) if stage.expansion > 1 else None
        self.depthwise = nn.Conv2d(inner, inner, stage.kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, stage.width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, before, Y, X) to (N, width, Y / stride, X / stride)."""
        inner = features if self.expand is None else functional.relu6(self.expand(features))
        inner = functional.relu6(self.depthwise(_padded_for(inner, self.kernel, self.stride)))
        projected = cast(Tensor, self.project(inner))
        return features + projected if self.is_residual else projected


def _padded_for(features: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad as TensorFlow does, where the weights were trained: more at the bottom and right."""
    before = (kernel - stride) // 2
    after = kernel - stride - before
    return functional.pad(features, (before, after, before, after))
