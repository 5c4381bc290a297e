"""Plain data of the built-in class tables; see `ClassTable.preset`."""

from typing import NamedTuple

RGB = tuple[int, int, int]


class ClassPreset(NamedTuple):
    """Plain data of a class table.

    Attributes
    ----------
    classes : list of (str, (int, int, int))
        Name and RGB colour (0 to 255) of each class, with the labels 0, 1, 2, ...
    unlabelled_index : int
        Label of unlabelled pixels.
    unlabelled_colour : (int, int, int)
        RGB colour of unlabelled pixels, 0 to 255.
    """

    classes: list[tuple[str, RGB]]
    unlabelled_index: int
    unlabelled_colour: RGB


BUILT_IN: dict[str, ClassPreset] = {
    "fasseg": ClassPreset(
        [
            ("background", (255, 0, 0)),
            ("hair", (127, 0, 0)),
            ("skin", (255, 255, 0)),
            ("eyes", (0, 0, 255)),
            ("nose", (0, 255, 255)),
            ("mouth", (0, 255, 0)),
        ],
        255,
        (255, 255, 255),
    ),
    # Train ids and colours of cityscapesscripts/helpers/labels.py.
    "cityscapes": ClassPreset(
        [
            ("road", (128, 64, 128)),
            ("sidewalk", (244, 35, 232)),
            ("building", (70, 70, 70)),
            ("wall", (102, 102, 156)),
            ("fence", (190, 153, 153)),
            ("pole", (153, 153, 153)),
            ("traffic light", (250, 170, 30)),
            ("traffic sign", (220, 220, 0)),
            ("vegetation", (107, 142, 35)),
            ("terrain", (152, 251, 152)),
            ("sky", (70, 130, 180)),
            ("person", (220, 20, 60)),
            ("rider", (255, 0, 0)),
            ("car", (0, 0, 142)),
            ("truck", (0, 0, 70)),
            ("bus", (0, 60, 100)),
            ("train", (0, 80, 100)),
            ("motorcycle", (0, 0, 230)),
            ("bicycle", (119, 11, 32)),
        ],
        255,
        (0, 0, 0),
    ),
    # Labels and colours of the eleven classes of the SegNet tutorial.
    "camvid": ClassPreset(
        [
            ("sky", (128, 128, 128)),
            ("building", (128, 0, 0)),
            ("pole", (192, 192, 128)),
            ("road", (128, 64, 128)),
            ("pavement", (60, 40, 222)),
            ("tree", (128, 128, 0)),
            ("sign", (192, 128, 128)),
            ("fence", (64, 64, 128)),
            ("car", (64, 0, 128)),
            ("pedestrian", (64, 64, 0)),
            ("bicyclist", (0, 128, 192)),
        ],
        11,
        (0, 0, 0),
    ),
}
