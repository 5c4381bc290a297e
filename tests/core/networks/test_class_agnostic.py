"""The class-agnostic network: any number and order of classes, any size."""

from itertools import accumulate

import pytest
import torch

from c2f_core.config.settings import ClassAgnosticConfig
from c2f_core.networks.class_agnostic import (
    EVIDENCE_CHANNELS,
    LOG_POSTERIOR,
    LOG_SCALE,
    ClassAgnosticNetwork,
    class_log_probabilities,
)

SHAPE = ClassAgnosticConfig(class_widths=(6, 8, 10, 12), detail_width=4, key_width=5)


@pytest.fixture
def network() -> ClassAgnosticNetwork:
    """Return a network whose head is not zero, as if it were trained."""
    torch.manual_seed(0)
    network = ClassAgnosticNetwork(SHAPE)
    torch.nn.init.normal_(network.head.weight)
    return network.eval()


def _inputs(counts: list[int], size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(len(counts), 3, *size), torch.randn(sum(counts), EVIDENCE_CHANNELS, *size)


@torch.inference_mode()
def test_permuted_classes_get_permuted_logits(network: ClassAgnosticNetwork) -> None:
    images, evidence = _inputs([5], (24, 40))
    order = torch.tensor([3, 0, 4, 2, 1])
    logits = network(images, evidence, [5])
    torch.testing.assert_close(network(images, evidence[order], [5]), logits[order])


@torch.inference_mode()
def test_images_of_a_batch_do_not_see_each_other(network: ClassAgnosticNetwork) -> None:
    counts = [1, 4, 2]
    images, evidence = _inputs(counts, (16, 16))
    together = network(images, evidence, counts)
    for number, (stop, count) in enumerate(zip(accumulate(counts), counts, strict=True)):
        part = slice(stop - count, stop)
        alone = network(images[number : number + 1], evidence[part], [count])
        torch.testing.assert_close(together[part], alone)


@torch.inference_mode()
def test_classes_compete(network: ClassAgnosticNetwork) -> None:
    images, evidence = _inputs([2], (16, 16))
    other = evidence.clone()
    other[1] += 1
    assert (network(images, evidence, [2])[0] != network(images, other, [2])[0]).any()


@torch.inference_mode()
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (33, 17)])
@pytest.mark.parametrize("classes", [1, 7])
def test_any_size_and_number_of_classes(
    network: ClassAgnosticNetwork, size: tuple[int, int], classes: int
) -> None:
    logits = network(*_inputs([classes], size), [classes])
    assert logits.shape == (classes, *size)
    (found,) = class_log_probabilities(logits, [classes])
    torch.testing.assert_close(found.exp().sum(dim=0), torch.ones(size))


@torch.inference_mode()
def test_an_untrained_network_returns_the_posterior() -> None:
    images, evidence = _inputs([3], (16, 16))
    logits = ClassAgnosticNetwork(SHAPE).eval()(images, evidence, [3])
    torch.testing.assert_close(logits, LOG_SCALE * evidence[:, LOG_POSTERIOR])


def test_only_the_encoder_is_not_trained(
    network: ClassAgnosticNetwork,
) -> None:
    network.train()
    network(*_inputs([2, 3], (16, 16)), [2, 3]).square().sum().backward()
    unused = {name for name, weight in network.named_parameters() if weight.grad is None}
    assert unused == {f"encoder.{name}" for name, _ in network.encoder.named_parameters()}


@pytest.mark.parametrize("counts", [[2, 2], [3], [0, 3]])
def test_counts_that_do_not_fit_are_refused(
    network: ClassAgnosticNetwork, counts: list[int]
) -> None:
    images, evidence = _inputs([2, 1], (16, 16))
    with pytest.raises(ValueError, match="evidence for the classes"):
        network(images, evidence, counts)
