"""Names of the layers that are made from maps."""

import pytest

from napari_c2f.layers.convert import name_of_result


@pytest.mark.parametrize(
    ("map_name", "expected"),
    [
        ("cat coarse", "cat fine"),
        ("cat_coarse", "cat_fine"),
        ("Cat Coarse", "Cat fine"),
        ("coarse", "fine"),
        ("cat coarse 2", "cat fine 2"),
        ("cat coarse [1]", "cat fine [1]"),
        ("cat fine", "cat fine"),
        ("cat fine 2", "cat fine"),
        ("cat final", "cat fine"),
        ("cat coarse refined", "cat fine"),  # Saved by an earlier version.
        ("crop1 refined", "crop1 fine"),
        ("cat", "cat fine"),
        ("frame 12", "frame 12 fine"),
        ("coarse cat", "coarse cat fine"),
        ("Kornoberfläche_unfine", "Kornoberfläche_unfine fine"),
    ],
)
def test_a_result_is_named_after_its_map(map_name, expected):
    assert name_of_result(map_name, "fine") == expected
