"""The U-Net: sizes, channels, initialisation, learning."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_core.config.settings import GeneratorConfig
from c2f_core.device import memory_format
from c2f_core.networks.unet import build_generator, generator_input

CONFIGS = [
    GeneratorConfig(widths=(4, 8), stem=stem, conditional=conditional)
    for stem, conditional in [(1, True), (2, True), (4, False), (2, False)]
]


@settings(max_examples=25)
@given(config=st.sampled_from(CONFIGS), height=st.integers(1, 37), width=st.integers(1, 37))
def test_output_has_the_size_of_the_input(config, height, width):
    network = build_generator(config, 5).eval()
    inputs = torch.zeros(2, network.in_channels, height, width)
    with torch.inference_mode():
        assert network(inputs).shape == (2, 5, height, width)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_parameter_gets_a_gradient(config):
    network = build_generator(config, 3)
    network(torch.randn(2, network.in_channels, 16, 16)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_wrong_number_of_channels_is_refused():
    network = build_generator(GeneratorConfig(widths=(4,)), 6)
    with pytest.raises(ValueError, match=r"\(N, 9, Y, X\)"):
        network(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(("stem", "widths"), [(1, (4, 4, 4)), (2, (4, 4, 4)), (4, (4,))])
def test_only_what_is_in_reach_matters(stem, widths):
    torch.manual_seed(0)
    config = GeneratorConfig(widths=widths, stem=stem)
    network = build_generator(config, 3).eval()
    first = 2 * network.stride * (network.reach // network.stride)
    inputs = torch.randn(1, network.in_channels, 32, 3 * first, requires_grad=True)
    distances = []
    for column in range(first, first + network.stride):
        (gradient,) = torch.autograd.grad(network(inputs)[..., column].square().sum(), inputs)
        seen = gradient.abs().sum((0, 1, 2)).nonzero()
        distances.append((seen - column).abs().max().item())
    assert max(distances) == network.reach


def test_the_report_input_has_nine_channels():
    images, coarse = torch.zeros(1, 3, 256, 256), torch.zeros(1, 6, 256, 256)
    assert generator_input(images, coarse, True).shape == (1, 9, 256, 256)
    assert generator_input(images, coarse, False).shape == (1, 3, 256, 256)


def test_channels_lie_last_except_on_apple_gpus_where_gradients_would_be_wrong():
    joined = generator_input(torch.zeros(2, 3, 8, 8), torch.zeros(2, 6, 8, 8), True)
    assert joined.is_contiguous(memory_format=torch.channels_last)
    assert memory_format(torch.device("cuda")) == torch.channels_last
    assert memory_format(torch.device("mps")) == torch.contiguous_format


def test_he_initialisation_keeps_the_scale_of_activations():
    torch.manual_seed(0)
    network = build_generator(GeneratorConfig(widths=(64, 64)), 6)
    weight = network.down[1][0].weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert not network.head.bias.any()


def test_the_same_seed_gives_the_same_network():
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(build_generator(GeneratorConfig(widths=(4, 8)), 3).state_dict())
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])
