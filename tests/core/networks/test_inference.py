"""Networks for inference compute what the trained ones compute."""

import pytest
import torch

from c2f_core.config.settings import GeneratorConfig
from c2f_core.networks.inference import for_inference, with_strided_stem
from c2f_core.networks.unet import build_generator

CONFIGS = [
    GeneratorConfig(widths=(4, 8), stem=stem, conditional=conditional)
    for stem, conditional in [(1, True), (2, True), (4, False), (2, False)]
]


@pytest.mark.parametrize("config", CONFIGS)
def test_networks_for_inference_keep_the_logits_without_normalisation(config):
    network = build_generator(config, 3)
    inputs = torch.randn(2, network.in_channels, 16, 16)
    for _ in range(3):
        network(inputs)  # Batch normalisation learns its statistics.
    copy = for_inference(network)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in copy.modules())
    with torch.inference_mode():
        torch.testing.assert_close(copy(inputs), network.eval()(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_a_strided_stem_computes_the_same(stem):
    config = GeneratorConfig(stem=stem, widths=(6, 8))
    generator = for_inference(build_generator(config, 3))
    inputs = torch.randn(2, 6, 37, 50)
    expected = generator(inputs)
    torch.testing.assert_close(with_strided_stem(generator)(inputs), expected, rtol=1e-4, atol=1e-4)
