"""A part of an image with the regions of its coarse map."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import Size, Sliceable, Window, extent, from_corner, grown
from c2f_core.refine.instant.regions import depth_of_regions, find_examples
from c2f_core.refine.interface import ClassIds

REACH = 24
"""Distance in pixels to the coarse boundary from which on nothing changes."""
WINDOW = 512
"""Side in pixels of the windows in which an image is processed."""


@dataclass(frozen=True, eq=False)
class ImagePart:
    """A part of an image and its coarse map, or all of it. Windows count from its corner.

    Attributes
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    class_ids : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled.
    depth : (Y, X) float32 array
        Distance of each pixel to the nearest pixel of another class, in pixels.
    examples : (Y, X) boolean array
        Whether pixels are well inside the regions of their class.
    place : (slice, slice)
        Rows and columns of the part in the image.
    """

    rgb: NDArray[np.uint8]
    class_ids: ClassIds
    depth: NDArray[np.float32]
    examples: NDArray[np.bool_]
    place: Window

    @classmethod
    def read(cls, rgb: Sliceable, class_ids: Sliceable, place: Window) -> "ImagePart":
        """Read a part of an image and its coarse map.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
            RGB image, in memory or loaded lazily.
        class_ids : (Y, X) uint8 array
            Class ids of the coarse map, in memory or loaded lazily.
        place : (slice, slice)
            Rows and columns of the part.
        """
        read = np.asarray(class_ids[place])
        depth = depth_of_regions(read)
        return cls(np.asarray(rgb[place]), read, depth, find_examples(read, depth), place)

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return extent(self.place)

    def surrounded(self, window: Window, halo: int) -> tuple[Window, Window]:
        """Return a window with its surroundings, and the place of the window in them."""
        outer = grown(window, halo, self.size)
        return outer, from_corner(window, outer)

    def may_change(self, window: Window) -> bool:
        """Return whether a window has unlabelled pixels, or a coarse boundary within reach."""
        is_near = bool((self.depth[window] <= REACH).any())
        return is_near or bool((self.class_ids[window] == UNLABELLED_ID).any())

    def redrawn(self, class_ids: ClassIds, window: Window) -> "ImagePart":
        """Return the same part with a coarse map that differs in a window.

        Parameters
        ----------
        class_ids : (Y, X) uint8 array
            Class ids of the part.
        window : (slice, slice)
            Rows and columns outside of which the map is the same.
        """
        changed = grown(window, REACH, self.size)
        seen, inner = self.surrounded(changed, REACH)
        depth = depth_of_regions(class_ids[seen])
        examples = find_examples(class_ids[seen], depth)
        redrawn = replace(
            self, class_ids=class_ids, depth=self.depth.copy(), examples=self.examples.copy()
        )
        redrawn.depth[changed], redrawn.examples[changed] = depth[inner], examples[inner]
        return redrawn
