"""OpenCV as `cv2`, from whichever of its packages is installed.

`opencv-python`, its headless and its contrib builds write the same files, and each breaks the
others. The package therefore requires none of them, and its extra `opencv` brings the headless one.
"""

import os

from c2f_core.errors import MissingPackageError

_PLUGINS = "QT_QPA_PLATFORM_PLUGIN_PATH"
_FONTS = "QT_QPA_FONTDIR"
_before = {name: os.environ.get(name) for name in (_PLUGINS, _FONTS)}

try:
    import cv2
except ModuleNotFoundError as error:
    raise MissingPackageError(
        "OpenCV is missing; run 'pip install opencv-python-headless', then start this again.",
        name=error.name,
    ) from error

# The build with windows leads Qt to plugins of its own, with which napari cannot start.
for _name, _value in _before.items():
    if _value is None:
        os.environ.pop(_name, None)
    else:
        os.environ[_name] = _value

__all__ = ["cv2"]
