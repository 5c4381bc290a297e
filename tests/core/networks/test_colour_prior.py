"""The colours of the classes in an image correct a network's logits."""

import pytest
import torch
from torch.nn import functional

from c2f_core.networks.colour_prior import colour_likelihoods, with_colour_models

RED, GREEN = (0.6, -0.6, -0.6), (-0.6, 0.6, -0.6)


def halves(boundary: int, first: tuple[float, ...] = RED, size: int = 64) -> torch.Tensor:
    """Image (1, 3, size, size) of two colours; the second begins at column `boundary`."""
    columns = torch.arange(size) >= boundary
    colours = torch.tensor([first, GREEN])[columns.long()]
    noise = torch.randn(size, size, 3, generator=torch.manual_seed(boundary)) * 0.05
    return (colours + noise).movedim(-1, 0)[None]


def guess(boundary: int, certainty: float = 0.9, size: int = 64) -> torch.Tensor:
    """Logits (1, 2, size, size) of a network that sees the boundary there."""
    second = (torch.arange(size) >= boundary).float() * (2 * certainty - 1) + 1 - certainty
    both = torch.stack([1 - second, second]).log()
    return both.repeat_interleave(size, 0).view(1, 2, size, size)


def second_begins(logits: torch.Tensor) -> torch.Tensor:
    """Column at which the second class begins, in each row."""
    return (logits.argmax(dim=1) == 0).sum(dim=-1)


@pytest.mark.parametrize("believed", [26, 29, 35, 38])
def test_boundary_moves_to_where_the_colour_changes(believed):
    corrected = with_colour_models(guess(believed), halves(32), 1.0)
    assert (second_begins(corrected) == 32).float().mean() > 0.95


def test_weight_says_how_much_colours_count():
    image, believed = halves(32), guess(28)
    torch.testing.assert_close(with_colour_models(believed, image, 0.0), believed)

    def share_of_second(weight: float) -> float:
        corrected = with_colour_models(believed, image, weight).softmax(dim=1)
        return float(corrected[:, 1, :, 28:32].mean())

    assert share_of_second(1.0) < share_of_second(0.1) < share_of_second(0.0)


def test_where_colours_are_uninformative_the_network_decides():
    image = halves(32, first=GREEN)
    corrected = with_colour_models(guess(28, certainty=0.8), image, 1.0)
    assert (second_begins(corrected) == 28).float().mean() > 0.95


def test_a_class_without_interior_pixels_takes_the_colours_of_the_others():
    probabilities = torch.full((1, 3, 64, 64), 0.01)
    probabilities[:, 0, :, :32] = probabilities[:, 1, :, 32:] = 0.98
    probabilities[:, :, 30:33, 10:13] = torch.tensor([0.01, 0.01, 0.98])[:, None, None]
    logits = probabilities.log()
    likelihoods = colour_likelihoods(halves(32), logits)
    # Between the densities of the class that has the colour and of the one without it.
    for column, has, other in ((5, 0, 1), (60, 1, 0)):
        values = likelihoods[0, :, 10, column]
        assert values[has] > values[2] > values[other]
    kept = with_colour_models(logits, halves(32), 1.0).argmax(dim=1)
    assert (kept[0, 30:33, 10:13] == 2).all()


def test_images_of_a_batch_do_not_mix():
    images = torch.cat([halves(32), halves(32, first=(0.0, 0.0, 0.9))])
    logits = torch.cat([guess(28), guess(36)])
    together = with_colour_models(logits, images, 1.0)
    for number in (0, 1):
        one = slice(number, number + 1)
        alone = with_colour_models(logits[one], images[one], 1.0)
        torch.testing.assert_close(together[one], alone)


def test_without_interior_pixels_no_probability_changes():
    believed = guess(4, size=8)
    corrected = with_colour_models(believed, halves(4, size=8), 1.0)
    torch.testing.assert_close(corrected.softmax(dim=1), believed.softmax(dim=1))


def test_of_many_classes_only_those_in_the_image_are_looked_up(monkeypatch: pytest.MonkeyPatch):
    logits = torch.cat([guess(28), torch.full((1, 252, 64, 64), -9.0)], dim=1)
    looked_up, sample = [], functional.grid_sample

    def counted(densities: torch.Tensor, *arguments, **options) -> torch.Tensor:
        looked_up.append(densities.shape[1])
        return sample(densities, *arguments, **options)

    monkeypatch.setattr(functional, "grid_sample", counted)
    likelihoods = colour_likelihoods(halves(32), logits)
    assert looked_up == [3]
    torch.testing.assert_close(likelihoods[:, 2:], likelihoods[:, 2:3].expand(-1, 252, -1, -1))
    corrected = with_colour_models(logits, halves(32), 1.0)
    torch.testing.assert_close(corrected, logits + likelihoods.log())
