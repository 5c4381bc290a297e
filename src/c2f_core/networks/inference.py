"""Faster equivalents of a trained generator, for inference only."""

from copy import deepcopy
from itertools import pairwise
from typing import TypeVar, cast

from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from c2f_core.networks.unet import ConvolutionBlock, UNet

Network = TypeVar("Network", bound=nn.Module)


def for_inference(generator: Network) -> Network:
    """Return a copy of a network for inference, which makes fewer passes over memory.

    Each batch normalisation is fused with the convolution before it. The logits
    are the same except for rounding.

    Parameters
    ----------
    generator : nn.Module
        Trained network of convolution blocks; it is not changed.

    Returns
    -------
    nn.Module
        Copy in evaluation mode, whose weights need no gradient.
    """
    copy = deepcopy(generator).eval().requires_grad_(False)
    for block in copy.modules():
        if isinstance(block, ConvolutionBlock):
            _fuse_normalisations(block)
    return copy


def _fuse_normalisations(block: ConvolutionBlock) -> None:
    for number, (layer, following) in enumerate(pairwise(block)):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            block[number] = fuse_conv_bn_eval(layer, following)
            block[number + 1] = nn.Identity()


def with_strided_stem(generator: UNet) -> UNet:
    """Replace stem and first convolution by one strided convolution, which is quicker on a CPU.

    The sums are the same.

    Parameters
    ----------
    generator : UNet
        Generator for inference, which is changed in place.

    Returns
    -------
    UNet
        The same generator.
    """
    stem = generator.config.stem
    block = cast(ConvolutionBlock, generator.down[0])
    first = cast(nn.Conv2d, block[0])
    strided = nn.Conv2d(
        generator.in_channels, first.out_channels, 3 * stem, stride=stem, padding=stem
    )
    strided.weight = nn.Parameter(functional.pixel_shuffle(first.weight, stem), False)
    strided.bias = first.bias
    block[0], generator.stem = strided, nn.Identity()
    return generator
