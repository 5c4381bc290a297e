"""The U-Net of Ronneberger et al. (MICCAI 2015), conditional or plain.

Convolutions are padded, so that input and output sizes match. With a space-to-depth
stem and a sub-pixel head (Shi et al., CVPR 2016), most of the work happens at a half
or a quarter of the resolution, while the output keeps the full resolution.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from c2f_core.config.settings import GeneratorConfig
from c2f_core.device import memory_format

IMAGE_CHANNELS = 3


class ConvolutionBlock(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch normalisation and an activation."""

    def __init__(
        self, in_channels: int, out_channels: int, activation: type[nn.ReLU | nn.SiLU] = nn.ReLU
    ) -> None:
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers += [
                nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                activation(inplace=True),
            ]
        super().__init__(*layers)


class UpBlock(nn.Module):
    """Double the resolution, concatenate the skip connection, convolve."""

    def __init__(self, in_channels: int, skip_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, skip_channels, 2, stride=2)
        self.block = ConvolutionBlock(2 * skip_channels, skip_channels)

    def forward(self, feature_map: Tensor, skip: Tensor) -> Tensor:
        """Map (N, in_channels, Y/2, X/2) and (N, skip_channels, Y, X) to the shape of `skip`."""
        return cast(Tensor, self.block(torch.cat([skip, self.up(feature_map)], dim=1)))


class UNet(nn.Module):
    """U-Net from image and coarse map to class logits.

    Parameters
    ----------
    config : GeneratorConfig
        Shape and input of the network.
    number_of_classes : int
        Number of classes C.
    """

    def __init__(self, config: GeneratorConfig, number_of_classes: int) -> None:
        super().__init__()
        self.config = config
        self.number_of_classes = number_of_classes
        self.conditional = config.conditional
        widths = config.widths
        self.stem: nn.Module = nn.PixelUnshuffle(config.stem)
        in_channels = self.in_channels * config.stem**2
        self.down = nn.ModuleList(
            ConvolutionBlock(before, after)
            for before, after in zip((in_channels, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            UpBlock(before, after)
            for before, after in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], number_of_classes * config.stem**2, 1)
        self.apply(_he_initialisation)

    @property
    def in_channels(self) -> int:
        """Number of input channels: 3 + C if conditional, else 3."""
        return IMAGE_CHANNELS + (self.number_of_classes if self.conditional else 0)

    @property
    def stride(self) -> int:
        """Side length of a pixel of the coarsest level, in pixels of the input."""
        return int(self.config.stem * 2 ** (len(self.config.widths) - 1))

    @property
    def reach(self) -> int:
        """Distance along an axis up to which the input influences an output pixel, in pixels.

        Two 3 x 3 convolutions see 2 cells to each side, in the encoder and in
        the decoder. At the coarsest level a cell is as large as the stride.
        """
        cells: list[int] = [self.config.stem * 2**level for level in range(len(self.config.widths))]
        return 2 * sum(cells) + 2 * sum(cells[:-1]) + self.stride - 1

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits.

        Parameters
        ----------
        inputs : (N, 3 + C or 3, Y, X) float tensor
            Images and coarse maps, see `generator_input`; any Y, X >= 1.

        Returns
        -------
        (N, C, Y, X) float tensor
            Logits of the classes.

        Raises
        ------
        ValueError
            If the number of channels does not fit.
        """
        if inputs.ndim != 4 or inputs.shape[1] != self.in_channels:
            raise ValueError(
                f"the U-Net takes (N, {self.in_channels}, Y, X), not {tuple(inputs.shape)}"
            )
        height, width = inputs.shape[-2:]
        feature_map = self.stem(padded(inputs, self.stride))
        skips = []
        for level, block in enumerate(self.down):
            feature_map = block(functional.max_pool2d(feature_map, 2) if level else feature_map)
            skips.append(feature_map)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            feature_map = block(feature_map, skip)
        logits = self.head(feature_map)
        if self.config.stem > 1:
            logits = functional.pixel_shuffle(logits, self.config.stem)
        return cast(Tensor, logits[..., :height, :width])


def padded(inputs: Tensor, stride: int) -> Tensor:
    """Repeat the last rows and columns of (N, C, Y, X) up to multiples of a stride."""
    height, width = inputs.shape[-2:]
    padding = (0, -width % stride, 0, -height % stride)
    return functional.pad(inputs, padding, mode="replicate") if any(padding) else inputs


def _he_initialisation(module: nn.Module) -> None:
    """Initialise convolutions as in He et al. (ICCV 2015), biases with zero."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        if module.weight.is_meta:  # It has no values, but torch would load its compiler for it.
            return
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def build_generator(config: GeneratorConfig, number_of_classes: int) -> UNet:
    """Make a generator with He initialisation from torch's current seed.

    Parameters
    ----------
    config : GeneratorConfig
        Shape and input of the network.
    number_of_classes : int
        Number of classes, at least 1.

    Returns
    -------
    UNet
        Network in training mode.
    """
    return UNet(config, number_of_classes)


def generator_input(images: Tensor, coarse: Tensor, conditional: bool) -> Tensor:
    """Concatenate images and coarse maps to the input of the generator.

    Parameters
    ----------
    images : (N, 3, Y, X) float tensor
        RGB images in [-1, 1].
    coarse : (N, C, Y, X) float tensor
        One-hot coarse maps, all zero where unlabelled.
    conditional : bool
        Whether the generator sees the coarse maps.

    Returns
    -------
    (N, 3 + C or 3, Y, X) float tensor
        Input in the memory format of `c2f_core.device.memory_format`.
    """
    layout = memory_format(images.device)
    if not conditional:
        return images.contiguous(memory_format=layout)
    shape = (len(images), IMAGE_CHANNELS + coarse.shape[1], *images.shape[-2:])
    # Written into place, as joining parts of different layouts takes twice the time.
    inputs = torch.empty(shape, dtype=images.dtype, device=images.device, memory_format=layout)
    inputs[:, :IMAGE_CHANNELS], inputs[:, IMAGE_CHANNELS:] = images, coarse
    return inputs
