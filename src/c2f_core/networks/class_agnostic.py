"""The class-agnostic network: one network for maps of any classes.

All classes share their weights. The network runs once for each class, on the evidence
for this class and on features of the image that are computed once. At each level, the
mean of the features over the classes of the image is mixed in, as in deep sets (Zaheer
et al., NeurIPS 2017), so that the classes compete, whatever their number and order.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from c2f_core.config.settings import ClassAgnosticConfig
from c2f_core.networks.unet import IMAGE_CHANNELS, ConvolutionBlock, padded

EVIDENCE_CHANNELS = 7
"""Mask of the class, signed distance to it, log-posterior of the instant refiner, three
log-likelihoods, and the share of pixels that the likelihoods recognise."""
LOG_POSTERIOR = 2
"""Channel of the log-posterior, from which the network starts."""
LOG_SCALE = 4.0
"""Divisor of the logarithms in the evidence."""


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
        image, classes, cells = config.image_widths, config.class_widths, config.stem**2
        self.image_down = _blocks((IMAGE_CHANNELS * cells, *image[:-1]), image)
        self.image_to_class = nn.ModuleList(
            nn.Conv2d(before, after, 1) for before, after in zip(image, classes, strict=True)
        )
        below = (EVIDENCE_CHANNELS * cells, *classes[:-1])
        from_both = [own + added for own, added in zip(below, classes, strict=True)]
        self.class_down = _blocks(from_both, classes)
        self.mix_down = _mixers(classes)
        self.class_up = _blocks(map(sum, zip(classes[1:], classes, strict=False)), classes[:-1])
        self.mix_up = _mixers(classes[:-1])
        self.head = nn.Conv2d(classes[0], cells, 3, padding=1)
        self.prior_weight = nn.Parameter(torch.ones(1))
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    @property
    def stride(self) -> int:
        """Side length of a pixel of the coarsest level, in pixels of the input."""
        return int(self.config.stem * 2 ** (len(self.config.class_widths) - 1))

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
        of_image = self._image_features(padded(images, self.stride), counts)
        features = functional.pixel_unshuffle(padded(evidence, self.stride), self.config.stem)
        skips: list[Tensor] = []
        for level, block in enumerate(self.class_down):
            below = functional.max_pool2d(features, 2) if level else features
            features = block(torch.cat([below, of_image[level]], dim=1))
            features = _mixed(features, self.mix_down[level], counts)
            skips.append(features)
        for level in range(len(self.class_up))[::-1]:
            above = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = self.class_up[level](torch.cat([above, skips[level]], dim=1))
            features = _mixed(features, self.mix_up[level], counts)
        change = functional.pixel_shuffle(self.head(features), self.config.stem)
        prior = evidence[:, LOG_POSTERIOR].float() * LOG_SCALE
        return change[:, 0, :height, :width].float() + self.prior_weight * prior

    def _image_features(self, images: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """Return the features of each level, (M, C, y, x), repeated for each class."""
        features = functional.pixel_unshuffle(images, self.config.stem)
        found = []
        for level, (block, adapt) in enumerate(
            zip(self.image_down, self.image_to_class, strict=True)
        ):
            features = block(functional.max_pool2d(features, 2) if level else features)
            found.append(_repeated(adapt(features), counts))
        return found

    @staticmethod
    def _check_shapes(images: Tensor, evidence: Tensor, counts: Sequence[int]) -> None:
        wanted = (sum(counts), EVIDENCE_CHANNELS, *images.shape[-2:])
        if evidence.shape != wanted or len(counts) != len(images) or min(counts) < 1:
            raise ValueError(
                f"the evidence for the classes {tuple(counts)} of {len(images)} images must have "
                f"the shape {wanted}, not {tuple(evidence.shape)}"
            )


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
