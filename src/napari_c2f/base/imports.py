"""Slow imports in background threads, during which the window is drawn.

`import torch` takes seconds, and so do all other imports of a widget on a busy machine.
"""

import ctypes
import gc
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtWidgets import QApplication

IMPORTING = "coarse-to-fine imports"
"""Name of the thread that imports slow modules."""
PAUSE = 300
"""Milliseconds in which the window draws a new widget, before modules are imported for later."""
SLICE = 0.01
"""Seconds from one look at the window's events to the next while a module is imported."""
_WAITING: deque[str] = deque()
"""Names of modules to import in the background."""
_IMPORTS = threading.Lock()
"""Held by the thread that imports them."""


def import_in_background(*modules: str) -> None:
    """Import slow modules in a background thread, once the window has drawn.

    Parameters
    ----------
    modules : str
        Names of the modules; "torch" comes before those that import it.
    """
    if any(name not in sys.modules for name in modules):
        _WAITING.extend(modules)
        QTimer.singleShot(PAUSE, _start_imports)


def _start_imports() -> None:
    threading.Thread(target=finish_imports, name=IMPORTING).start()


def finish_imports() -> None:
    """Import what `import_in_background` was called for, or wait until another thread has.

    Work in a thread of lower priority calls this first: such a thread, where other programs keep
    the processors busy, would stop the window for seconds, as imports hold Python's global lock.
    """
    with _IMPORTS:
        while _WAITING:
            _import(_WAITING.popleft())


def import_responsively(module: str) -> ModuleType:
    """Import a module in a background thread; until it is there, the window only draws.

    What the user clicks and types meanwhile arrives afterwards. Without a window, or outside the
    GUI thread, this is an ordinary import.

    Parameters
    ----------
    module : str
        Name of the module.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If the module or one that it imports is missing.
    """
    app = QApplication.instance()
    in_gui = app is not None and threading.current_thread() is threading.main_thread()
    if in_gui and module not in sys.modules:
        thread = threading.Thread(target=partial(_try_import, module), name=IMPORTING)
        QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            thread.start()
            while thread.is_alive():
                QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
                thread.join(SLICE)
        finally:
            QApplication.restoreOverrideCursor()
    return import_module(module)


def _try_import(module: str) -> None:
    with suppress(ImportError):  # The GUI thread raises it again.
        _import(module)


def _import(module: str) -> None:
    if module == "torch" and module not in sys.modules and sys.platform == "linux":
        _load_libraries_of_torch()
    with _collecting_no_garbage():
        import_module(module)


@contextmanager
def _collecting_no_garbage() -> Iterator[None]:
    """Keep Python from searching for garbage, which stops all threads, for up to half a second.

    What was imported is taken for long-lived afterwards, without a search.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
        gc.unfreeze()
    finally:
        if was_enabled:
            gc.enable()


def _load_libraries_of_torch() -> None:
    """Load the libraries of torch while other threads run.

    The import itself keeps all others from running for half a second, in which the largest
    library registers its operators. Called in this way, it does so without Python's global lock.
    If a library cannot be loaded, the import will say why.
    """
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return
    load = ctypes.CDLL(None).dlopen
    load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    folder = Path(spec.origin).parent / "lib"
    load(bytes(folder / "libtorch_global_deps.so"), os.RTLD_NOW | os.RTLD_GLOBAL)
    load(bytes(folder / "libtorch.so"), os.RTLD_NOW)
