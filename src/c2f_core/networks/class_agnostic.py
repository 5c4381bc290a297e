"""The class-agnostic network: one network for maps of any classes.

All classes share their weights. The network runs once for each class, on the evidence
for this class and on features of the image that are computed once. How similar a pixel is
to the class is measured by prototypes: mean features of what the coarse map says is well
inside the class (Snell et al., "Prototypical Networks", NeurIPS 2017). At each level, the
mean of the features over the classes of the image is mixed in, as in deep sets (Zaheer
et al., NeurIPS 2017), so that the classes compete, whatever their number and order.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from c2f_core.config.settings import ClassAgnosticConfig
from c2f_core.networks.image_encoder import FEATURE_WIDTHS, ImageEncoder
from c2f_core.networks.unet import IMAGE_CHANNELS, ConvolutionBlock, padded

EVIDENCE_CHANNELS = 7
"""Mask of the class, signed distance to it, log-posterior of the instant refiner, three
log-likelihoods, and the share of pixels that the likelihoods recognise."""
DISTANCE, LOG_POSTERIOR = 1, 2
"""Channels of the signed distance and of the log-posterior, from which the network starts."""
LOG_SCALE = 4.0
"""Divisor of the logarithms in the evidence."""
STEM = 2
"""Side length in pixels of the blocks of pixels that become channels."""
PROTOTYPE_RADII = (6, 4, 2)
"""Radii in pixels of the levels at strides 4, 8 and 16, within which local prototypes are taken."""
WELL_INSIDE, STEEPNESS = 0.15, 20.0
"""Signed distance from which pixels count for the prototypes of a class, in the unit of the
evidence, and how sharply they begin to."""
LITTLE = 0.02
"""Share of surrounding pixels of a class at which local and global prototype weigh the same."""


class ClassAgnosticNetwork(nn.Module):
    """U-Net from an image and the evidence for each of its classes to a logit per class.

    The result of an untrained network is that of the instant refiner.

    Parameters
    ----------
    config : ClassAgnosticConfig
        Shape of the network.
    """

    def __init__(self, config: ClassAgnosticConfig) -> None:
        super().__init__()
        self.config = config
        widths, cells = config.class_widths, STEM**2
        self.encoder = ImageEncoder()
        self.normalise = nn.ModuleList(nn.BatchNorm2d(width) for width in FEATURE_WIDTHS)
        self.detail = ConvolutionBlock(IMAGE_CHANNELS * cells, config.detail_width, nn.SiLU)
        of_image = (FEATURE_WIDTHS[0] + config.detail_width, *FEATURE_WIDTHS[1:])
        self.image_to_class = nn.ModuleList(
            nn.Conv2d(before, after, 1) for before, after in zip(of_image, widths, strict=True)
        )
        self.similarities = nn.ModuleList(
            PrototypeSimilarity(width, config.key_width, radius)
            for width, radius in zip(FEATURE_WIDTHS[1:], PROTOTYPE_RADII, strict=True)
        )
        below = (EVIDENCE_CHANNELS * cells + widths[0], *(sum(p) + 2 for p in pairwise(widths)))
        self.class_down = _blocks(below, widths)
        self.mix_down = _mixers(widths)
        self.class_up = _blocks(map(sum, pairwise(widths)), widths[:-1])
        self.mix_up = _mixers(widths[:-1])
        self.head = nn.Conv2d(widths[0], cells, 3, padding=1)
        self.prior_weight = nn.Parameter(torch.ones(1))
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    @property
    def stride(self) -> int:
        """Side length of a pixel of the coarsest level, in pixels of the input."""
        return int(STEM * 2 ** (len(self.config.class_widths) - 1))

    def forward(self, images: Tensor, evidence: Tensor, counts: Sequence[int]) -> Tensor:
        """Compute the logits.

        Parameters
        ----------
        images : (N, 3, Y, X) float tensor
            RGB images in [-1, 1]; any Y, X >= 1.
        evidence : (M, 7, Y, X) float tensor
            Evidence for the classes of the first image, then for those of the next, and
            so on; see `EVIDENCE_CHANNELS`.
        counts : sequence of int
            Number of classes of each image, at least 1; their sum is M.

        Returns
        -------
        (M, Y, X) float32 tensor
            Logits of the classes, in the order of the evidence.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        self._check_shapes(images, evidence, counts)
        height, width = images.shape[-2:]
        image, shown = padded(images, self.stride), padded(evidence, self.stride)
        encoded = [
            normalise(features)
            for normalise, features in zip(self.normalise, self.encoder(image), strict=True)
        ]
        of_image = self._image_features(image, encoded, counts)
        inside = torch.sigmoid(
            STEEPNESS * (shown[:, DISTANCE : DISTANCE + 1].float() - WELL_INSIDE)
        )
        features = functional.pixel_unshuffle(shown, STEM)
        skips: list[Tensor] = []
        for level, block in enumerate(self.class_down):
            parts = [functional.max_pool2d(features, 2) if level else features, of_image[level]]
            if level:
                similar = self.similarities[level - 1](encoded[level], inside, counts)
                parts.append(similar.to(features.dtype))
            features = _mixed(block(torch.cat(parts, dim=1)), self.mix_down[level], counts)
            skips.append(features)
        for level in range(len(self.class_up))[::-1]:
            above = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = self.class_up[level](torch.cat([above, skips[level]], dim=1))
            features = _mixed(features, self.mix_up[level], counts)
        change = functional.pixel_shuffle(self.head(features), STEM)
        prior = evidence[:, LOG_POSTERIOR].float() * LOG_SCALE
        return change[:, 0, :height, :width].float() + self.prior_weight * prior

    def _image_features(
        self, image: Tensor, encoded: Sequence[Tensor], counts: Sequence[int]
    ) -> list[Tensor]:
        """Return the features of each level, (M, C, y, x), repeated for each class."""
        detail = self.detail(functional.pixel_unshuffle(image, STEM))
        finest = torch.cat([encoded[0], detail], dim=1)
        levels = zip(self.image_to_class, [finest, *encoded[1:]], strict=True)
        return [_repeated(adapt(features), counts) for adapt, features in levels]

    @staticmethod
    def _check_shapes(images: Tensor, evidence: Tensor, counts: Sequence[int]) -> None:
        wanted = (sum(counts), EVIDENCE_CHANNELS, *images.shape[-2:])
        if evidence.shape != wanted or len(counts) != len(images) or min(counts) < 1:
            raise ValueError(
                f"the evidence for the classes {tuple(counts)} of {len(images)} images must have "
                f"the shape {wanted}, not {tuple(evidence.shape)}"
            )


class PrototypeSimilarity(nn.Module):
    """Similarity of each pixel to prototypes of the classes.

    The prototypes of a class are the mean of its keys in the whole image, and the mean
    around each pixel.

    Parameters
    ----------
    width : int
        Number of channels of the image's features.
    key_width : int
        Number of channels of the keys that are compared.
    radius : int
        Radius in pixels of the square around a pixel, at the resolution of the features.
    """

    def __init__(self, width: int, key_width: int, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.key = nn.Conv2d(width, key_width, 1)
        self.scale = nn.Parameter(torch.full((1,), 4.0))

    def forward(self, features: Tensor, inside: Tensor, counts: Sequence[int]) -> Tensor:
        """Compare keys.

        Parameters
        ----------
        features : (N, C, y, x) float tensor
            Features of the images.
        inside : (M, 1, Y, X) float tensor
            How far each pixel counts for the prototypes of a class, in [0, 1]; Y and X
            are multiples of y and x.
        counts : sequence of int
            Number of classes of each image; see `ClassAgnosticNetwork.forward`.

        Returns
        -------
        (M, 2, y, x) float32 tensor
            Scaled cosines to the global and the local prototype, less their means over the
            classes of an image.
        """
        weights = functional.avg_pool2d(inside, inside.shape[-1] // features.shape[-1]) + 1e-4
        keys = functional.normalize(self.key(features).float(), dim=1)
        compared = _repeated(keys, counts)
        weighted = compared * weights
        everywhere = weighted.sum((2, 3), keepdim=True) / weights.sum((2, 3), keepdim=True)
        mass = self._around(weights)
        share = mass / (mass + LITTLE)
        local = self._around(weighted) / mass * share + everywhere * (1 - share)
        cosines = torch.stack([(compared * each).sum(1) for each in (everywhere, local)], dim=1)
        return _centred(cosines * self.scale, counts)

    def _around(self, features: Tensor) -> Tensor:
        side = 2 * self.radius + 1
        return functional.avg_pool2d(features, side, stride=1, padding=self.radius)


def _blocks(before: Iterable[int], after: Iterable[int]) -> nn.ModuleList:
    return nn.ModuleList(
        ConvolutionBlock(first, last, nn.SiLU) for first, last in zip(before, after, strict=True)
    )


def _mixers(widths: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths)


def _mixed(features: Tensor, mixer: nn.Module, counts: Sequence[int]) -> Tensor:
    """Add what a mixer makes of the mean over the classes of each image."""
    # In float32, as the order of the classes would show in the rounding of a shorter type.
    means = [part.float().mean(dim=0) for part in features.split(list(counts))]
    mixed = mixer(torch.stack(means).to(features.dtype))
    return features + _repeated(mixed, counts)


def _centred(features: Tensor, counts: Sequence[int]) -> Tensor:
    """Subtract the mean over the classes of each image."""
    parts = features.split(list(counts))
    return torch.cat([part - part.mean(dim=0) for part in parts])


def _repeated(features: Tensor, counts: Sequence[int]) -> Tensor:
    """Repeat the features (N, C, y, x) of each image for each of its classes."""
    if len(counts) == 1:
        return features.expand(counts[0], -1, -1, -1)
    parts = zip(features.split(1), counts, strict=True)
    return torch.cat([part.expand(count, -1, -1, -1) for part, count in parts])


def class_log_probabilities(logits: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """Normalise the logits over the classes of each image.

    Parameters
    ----------
    logits : (M, Y, X) float tensor
        Logits of `ClassAgnosticNetwork`.
    counts : sequence of int
        Number of classes of each image.

    Returns
    -------
    list of (K, Y, X) float tensors
        Log-probabilities of the classes of each image.
    """
    return [part.log_softmax(dim=0) for part in logits.split(list(counts))]
