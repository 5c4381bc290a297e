"""Discriminators: the contract of all kinds, what distinguishes real from fake, training."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from c2f_core.config.settings import DiscriminatorConfig
from c2f_core.losses.adversarial import discriminator_accuracy, minimax_discriminator
from c2f_core.networks.discriminators import build_discriminator, harden, mask_unlabelled
from c2f_core.networks.encoding import one_hot

CLASSES = 3
KINDS = ("image", "pixel")
every_kind = pytest.mark.parametrize("kind", KINDS)
every_config = pytest.mark.parametrize(
    "config",
    [
        DiscriminatorConfig(kind=kind, widths=widths, spectral_norm=spectral_norm)
        for kind in KINDS
        for widths, spectral_norm in [((4, 8, 8), True), ((4, 8), False), ((4,), True)]
    ],
    ids=str,
)


def random_batch(height=24, width=20, batch=2):
    """Return images, one-hot maps and their class ids, some of them unlabelled."""
    images = torch.rand(batch, 3, height, width) * 2 - 1
    fine = torch.randint(CLASSES, (batch, height, width))
    fine[:, : height // 4] = 255
    return images, one_hot(fine, CLASSES), fine


@settings(max_examples=40)
@given(kind=st.sampled_from(KINDS), height=st.integers(8, 70), width=st.integers(8, 70))
def test_logits_have_the_shape_of_their_kind(kind, height, width):
    discriminator = build_discriminator(DiscriminatorConfig(kind=kind), CLASSES).eval()
    images, maps, _ = random_batch(height, width)
    with torch.inference_mode():
        logits = discriminator(images, maps)
    size = (height, width) if kind == "pixel" else (1, 1)
    assert logits.shape == (2, 1, *size)


@every_config
def test_every_parameter_and_the_maps_get_a_gradient(config):
    torch.manual_seed(0)
    discriminator = build_discriminator(config, CLASSES)
    images, maps, _ = random_batch()
    discriminator(images, maps.requires_grad_()).square().sum().backward()
    for parameter in discriminator.parameters():
        assert parameter.grad is not None
        assert parameter.grad.any()
    assert maps.grad.any()


@every_config
def test_a_state_dict_restores_the_logits(config):
    discriminator = build_discriminator(config, CLASSES)
    images, maps, _ = random_batch()
    discriminator(images, maps)  # in training mode the spectral norms move
    other = build_discriminator(config, CLASSES).eval()
    other.load_state_dict(discriminator.state_dict())
    assert torch.equal(other(images, maps), discriminator.eval()(images, maps))


@every_config
def test_the_same_seed_gives_the_same_discriminator(config):
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_discriminator(config, CLASSES).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@every_kind
@pytest.mark.parametrize("spectral_norm", [True, False])
def test_weights_start_from_a_normal_distribution_of_dcgan(kind, spectral_norm):
    torch.manual_seed(0)
    config = DiscriminatorConfig(kind=kind, spectral_norm=spectral_norm)
    parameters = dict(build_discriminator(config, CLASSES).named_parameters())
    weights = torch.cat([value.flatten() for value in parameters.values() if value.ndim == 4])
    assert weights.mean().item() == pytest.approx(0, abs=2e-4)
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert not any(value.any() for name, value in parameters.items() if name.endswith("bias"))


@every_kind
def test_spectral_norm_bounds_every_weight(kind):
    torch.manual_seed(0)
    discriminator = build_discriminator(DiscriminatorConfig(kind=kind), CLASSES).eval()
    convolutions = [m for m in discriminator.modules() if isinstance(m, torch.nn.Conv2d)]
    assert convolutions
    for convolution in convolutions:
        norm = torch.linalg.matrix_norm(convolution.weight.flatten(1), 2)
        assert norm.item() == pytest.approx(1, rel=0.1)


@every_kind
def test_images_of_a_batch_do_not_see_each_other(kind):
    discriminator = build_discriminator(DiscriminatorConfig(kind=kind), CLASSES).eval()
    images, maps, _ = random_batch()
    together = discriminator(images, maps)
    torch.testing.assert_close(together[:1], discriminator(images[:1], maps[:1]))


def test_harden_gives_the_argmax_and_the_gradient_of_the_softmax():
    torch.manual_seed(0)
    logits = torch.randn(2, CLASSES, 5, 4, requires_grad=True)
    direction = torch.randn(2, CLASSES, 5, 4)
    hard = harden(logits)
    assert torch.equal(hard, one_hot(logits.argmax(1), CLASSES))
    (ours,) = torch.autograd.grad((hard * direction).sum(), logits)
    (softmax,) = torch.autograd.grad((logits.softmax(1) * direction).sum(), logits)
    assert torch.equal(ours, softmax)
    assert ours.any()


def test_unlabelled_pixels_are_zero_in_every_class():
    fine = torch.tensor([[[0, 255], [2, 1]]])
    masked = mask_unlabelled(torch.full((1, CLASSES, 2, 2), 0.5), fine)
    assert masked[0, :, 0, 1].tolist() == [0, 0, 0]
    assert masked.sum().item() == 0.5 * CLASSES * 3


@every_kind
@pytest.mark.parametrize("sharpness", [0.01, 1.0, 20.0])
def test_a_map_right_in_every_pixel_is_indistinguishable_from_the_fine_map(kind, sharpness):
    torch.manual_seed(0)
    discriminator = build_discriminator(DiscriminatorConfig(kind=kind), CLASSES).eval()
    images, maps, fine = random_batch()
    # Right where there is a fine map, anything where there is none.
    noise = torch.rand(maps.shape) * (0.9 + (fine == 255)[:, None])
    logits = (sharpness * (maps + noise)).requires_grad_()
    real, fake = mask_unlabelled(maps, fine), mask_unlabelled(harden(logits), fine)
    assert torch.equal(real, fake)
    scores = discriminator(images, fake)
    assert torch.equal(scores, discriminator(images, real))
    scores.sum().backward()
    assert logits.grad.any()
    assert not logits.grad[(fine == 255)[:, None].expand_as(logits)].any()


@every_kind
def test_maps_are_blurred_before_anything_else(kind):
    """One pixel reaches the encoder as the Gaussian that it is blurred to."""
    discriminator = build_discriminator(DiscriminatorConfig(kind=kind), CLASSES).eval()
    seen = []
    discriminator.encoder[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    maps = torch.zeros(1, CLASSES, 32, 32)
    maps[0, 1, 16, 16] = 1
    discriminator(torch.zeros(1, 3, 32, 32), maps)
    blurred = torch.nn.functional.pixel_shuffle(seen[0], discriminator.stem)[0, 3 + 1]
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    assert (blurred[16, 18] / blurred[16, 16]).item() == pytest.approx(math.exp(-4 / (2 * 1.5**2)))


@pytest.mark.parametrize(
    ("images", "maps"),
    [
        ((1, 3, 8, 8), (1, 4, 8, 8)),
        ((1, 1, 8, 8), (1, 3, 8, 8)),
        ((1, 3, 8, 8), (1, 3, 8, 9)),
        ((2, 3, 8, 8), (1, 3, 8, 8)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(images, maps):
    discriminator = build_discriminator(DiscriminatorConfig(), CLASSES)
    with pytest.raises(ValueError, match=r"images \(N, 3, Y, X\) and maps \(N, 3, Y, X\)"):
        discriminator(torch.zeros(images), torch.zeros(maps))


@pytest.mark.parametrize("settings", [{"widths": ()}, {"widths": (8, 0)}, {"kind": "voxel"}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        DiscriminatorConfig(**settings)


def coloured_batch(generator, batch=4, side=32):
    """Return images whose colours show the classes, and their maps."""
    logits = torch.rand(batch, CLASSES, side // 8, side // 8, generator=generator)
    maps = one_hot(logits.argmax(1), CLASSES).repeat_interleave(8, 2).repeat_interleave(8, 3)
    return (maps * 2 - 1) * 0.5, maps


@every_kind
def test_learns_to_distinguish_true_from_permuted_maps(kind):
    """Permuted classes make a likely map: only the image shows that it is not the true one."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    config = DiscriminatorConfig(kind=kind, widths=(16, 32, 32))
    discriminator = build_discriminator(config, CLASSES)
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    for _ in range(150):
        images, maps = coloured_batch(generator)
        real, fake = discriminator(images, maps), discriminator(images, maps.roll(1, dims=1))
        optimiser.zero_grad()
        minimax_discriminator(real, fake).backward()
        optimiser.step()
    images, maps = coloured_batch(generator, batch=16)
    with torch.inference_mode():
        real, fake = discriminator(images, maps), discriminator(images, maps.roll(1, dims=1))
    assert discriminator_accuracy(real, fake) > 0.95
