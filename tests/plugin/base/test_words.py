"""Words of messages to the user."""

import pytest

from napari_c2f.base.words import counted


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 images"), (1, "1 image"), (2, "2 images"), (2000, "2,000 images")],
)
def test_nouns_follow_their_number(number, expected):
    assert counted(number, "image") == expected
