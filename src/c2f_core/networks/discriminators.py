r"""Discriminators of Model 2: one logit per image or per pixel.

All are conditional: they see the RGB image and the map. A positive logit means
that the map is a real fine map, a negative one that the generator made it.

- image: strided convolutions as in DCGAN (Radford et al., ICLR 2016), averaged
  over the image, so that any size works.
- pixel: fully convolutional as in Hung et al. (BMVC 2018), here with a decoder
  and skip connections. After a space-to-depth stem, all of the work happens at a
  quarter of the resolution or less.

Real and fake maps must differ in their classes, not in their encoding, or the
discriminator wins without looking at the classes:

1. Fine maps are one-hot and softmax is soft. Fake maps enter through `harden`:
   one-hot in the forward pass, the gradient of the softmax in the backward pass
   (straight-through estimator, Bengio et al. 2013).
2. Fine maps that were warped by nearest neighbour have jagged boundaries, those of
   the generator are smooth. Maps of both kinds pass the same Gaussian blur first.
3. Where the fine map is unlabelled, the fake one is not. `mask_unlabelled` sets
   both to zero there.

A fake map whose largest logits agree with the fine map thus gives exactly the same
input as the fine map, however soft its logits are.

There is no batch normalisation: its statistics would mix real and fake maps
where they share a batch, and give them away where they are in separate batches.
Spectral normalisation (Miyato et al., ICLR 2018) takes its place. In training
mode it refines its estimate with every pass, so that two passes over the same
maps differ slightly.
"""

import math
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from c2f_core.classes.table import UNLABELLED_ID
from c2f_core.config.settings import DiscriminatorConfig
from c2f_core.networks.encoding import most_likely, one_hot
from c2f_core.networks.unet import IMAGE_CHANNELS

BLUR_SIGMA = 1.5
BLUR_RADIUS = 4
"""Standard deviation and radius of the blur of the maps, in pixels."""
PIXEL_STEM = 4
"""Side length of the space-to-depth blocks of the pixel discriminator, in pixels."""


def harden(logits: Tensor) -> Tensor:
    """Turn logits into one-hot maps that pass the gradient of the softmax.

    Straight-through estimator (Bengio et al., arXiv:1308.3432, 2013): the value
    is the one-hot vector of the largest logit, the gradient that of the softmax.

    Parameters
    ----------
    logits : (N, C, Y, X) float tensor
        Logits of the classes.

    Returns
    -------
    (N, C, Y, X) float tensor
        Exactly 0 or 1; the first of equal logits wins.
    """
    soft = logits.softmax(dim=1)
    hard = one_hot(most_likely(logits.detach()), logits.shape[1]).to(soft)
    # Added as a difference, which is exactly zero, so that the sum stays one-hot.
    return hard + (soft - soft.detach())


def blur(maps: Tensor) -> Tensor:
    """Blur maps with a Gaussian of `BLUR_SIGMA`; values at the borders are repeated.

    Both axes are matrix products, which take a quarter of the time of convolutions on a
    CPU that computes in bfloat16.

    Parameters
    ----------
    maps : (N, C, Y, X) float tensor
        Class scores.

    Returns
    -------
    (N, C, Y, X) float tensor
        Blurred scores in the precision of autocast.
    """
    rows, columns = (_gaussian(length).to(maps) for length in maps.shape[-2:])
    return rows @ maps @ columns.T


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _gaussian(length: int) -> Tensor:
    """Matrix (length, length) that blurs an axis; cached, so never an inference tensor."""
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1)
    weights = (-((offsets / BLUR_SIGMA) ** 2) / 2).exp()
    places = (torch.arange(length)[:, None] + offsets).clamp(0, length - 1)
    matrix = torch.zeros(length, length)
    return matrix.scatter_add_(1, places, (weights / weights.sum()).expand(length, -1))


def mask_unlabelled(maps: Tensor, fine: Tensor) -> Tensor:
    """Set maps to zero where the fine map is unlabelled.

    Parameters
    ----------
    maps : (N, C, Y, X) float tensor
        Real or fake maps, both with the same `fine`.
    fine : (N, Y, X) integer tensor
        Class ids of the fine maps, 255 where unlabelled.

    Returns
    -------
    (N, C, Y, X) float tensor
        Masked maps.
    """
    return maps * (fine != UNLABELLED_ID)[:, None]


def _convolution(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, spectral_norm: bool
) -> nn.Module:
    """Make a convolution, padded so that Y pixels become Y / stride, with weights N(0, 0.02)."""
    total = kernel_size - stride
    convolution: nn.Module = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=total // 2
    )
    nn.init.normal_(cast(Tensor, convolution.weight), std=0.02)
    nn.init.zeros_(cast(Tensor, convolution.bias))
    if spectral_norm:
        convolution = parametrizations.spectral_norm(convolution)
    if total % 2:
        return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), convolution)
    return convolution


def _block(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, spectral_norm: bool
) -> nn.Module:
    convolution = _convolution(in_channels, out_channels, kernel_size, stride, spectral_norm)
    return nn.Sequential(convolution, nn.LeakyReLU(0.2, inplace=True))


class ImageHead(nn.Module):
    """One logit from the feature maps averaged over the image."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.score = _convolution(config.widths[-1], 1, 1, 1, config.spectral_norm)

    def forward(self, feature_maps: list[Tensor]) -> Tensor:
        """Map feature maps, the coarsest of them (N, F, y, x), to (N, 1, 1, 1)."""
        return cast(Tensor, self.score(feature_maps[-1].mean(dim=(2, 3), keepdim=True)))


class PixelHead(nn.Module):
    """Decoder with skip connections to one logit for each pixel."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        widths = config.widths
        self.up = nn.ModuleList(
            _block(channels + skip_channels, skip_channels, 3, 1, config.spectral_norm)
            for channels, skip_channels in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.score = _convolution(widths[0], PIXEL_STEM**2, 1, 1, config.spectral_norm)

    def forward(self, feature_maps: list[Tensor]) -> Tensor:
        """Map feature maps, the finest of them (N, F, Y / 4, X / 4), to (N, 1, Y, X)."""
        feature_map = feature_maps[-1]
        for block, skip in zip(self.up, feature_maps[-2::-1], strict=True):
            upsampled = functional.interpolate(feature_map, scale_factor=2, mode="nearest")
            feature_map = block(torch.cat([skip, upsampled], dim=1))
        return functional.pixel_shuffle(self.score(feature_map), PIXEL_STEM)


HEADS = {"image": ImageHead, "pixel": PixelHead}


def _kernels(config: DiscriminatorConfig) -> list[tuple[int, int]]:
    """Kernel size and stride of each convolution of the encoder."""
    strided = [(4, 2)] * (len(config.widths) - 1)
    return [(3, 1), *strided] if config.kind == "pixel" else [*strided, (4, 2)]


class Discriminator(nn.Module):
    """Discriminator of image and map: an encoder and the head of its kind.

    Parameters
    ----------
    config : DiscriminatorConfig
        Kind and shape of the network.
    number_of_classes : int
        Number of classes C.
    """

    def __init__(self, config: DiscriminatorConfig, number_of_classes: int) -> None:
        super().__init__()
        self.config = config
        self.number_of_classes = number_of_classes
        self.stem = PIXEL_STEM if config.kind == "pixel" else 1
        kernels = _kernels(config)
        self.stride = self.stem * math.prod(stride for _, stride in kernels)
        in_channels = (IMAGE_CHANNELS + number_of_classes) * self.stem**2
        self.encoder = nn.ModuleList(
            _block(before, after, *kernel, config.spectral_norm)
            for before, after, kernel in zip(
                (in_channels, *config.widths[:-1]), config.widths, kernels, strict=True
            )
        )
        self.head = HEADS[config.kind](config)

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Compute the logits.

        Parameters
        ----------
        images : (N, 3, Y, X) float tensor
            RGB images in [-1, 1]; any Y, X >= 1.
        maps : (N, C, Y, X) float tensor
            Class scores summing to 1, zero where unlabelled: see `harden` and `mask_unlabelled`.

        Returns
        -------
        float tensor
            (N, 1, 1, 1) for kind image, (N, 1, Y, X) for kind pixel.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        height, width = images.shape[-2:]
        logits: Tensor = self.head(self._feature_maps(images, maps))
        return logits[..., :height, :width]

    def _feature_maps(self, images: Tensor, maps: Tensor) -> list[Tensor]:
        """Encode to one feature map (N, F, y, x) for each width, the finest first."""
        self._check(images, maps)
        blurred = blur(maps.to(images.dtype))
        height, width = images.shape[-2:]
        padding = (0, -width % self.stride, 0, -height % self.stride)
        inputs = torch.cat([images, blurred], dim=1)
        if any(padding):
            inputs = functional.pad(inputs, padding, mode="replicate")
        feature_map = functional.pixel_unshuffle(inputs, self.stem)
        feature_maps = []
        for block in self.encoder:
            feature_map = block(feature_map)
            feature_maps.append(feature_map)
        return feature_maps

    def _check(self, images: Tensor, maps: Tensor) -> None:
        expected = (len(images), self.number_of_classes, *images.shape[-2:])
        if images.ndim != 4 or images.shape[1] != IMAGE_CHANNELS or maps.shape != expected:
            raise ValueError(
                f"the discriminator takes images (N, {IMAGE_CHANNELS}, Y, X) and maps "
                f"(N, {self.number_of_classes}, Y, X), not {tuple(images.shape)} and "
                f"{tuple(maps.shape)}"
            )


def build_discriminator(config: DiscriminatorConfig, number_of_classes: int) -> Discriminator:
    """Make a discriminator with weights N(0, 0.02) from torch's current seed.

    The standard deviation is DCGAN's (Radford et al., ICLR 2016); biases are zero.

    Parameters
    ----------
    config : DiscriminatorConfig
        Kind and shape of the network.
    number_of_classes : int
        Number of classes, at least 1.

    Returns
    -------
    Discriminator
        Network in training mode.
    """
    return Discriminator(config, number_of_classes)
