"""Keys of the review: actions of napari, so that its preferences list and change them.

napari passes over the `keybindings` of plugins' manifests, but its action manager takes
actions of anyone. They belong to all viewers and do nothing where no review is open.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut
from napari.utils.key_bindings import KeyBinding, KeyCode, KeyMod

from napari_c2f._layers import bare
from napari_c2f._review_controller import ReviewController


@dataclass(frozen=True)
class Action:
    """What a key of the review does.

    Attributes
    ----------
    key : KeyBinding
        Unless the user chose another one.
    description : str
        As napari's preferences and the tool tips say it.
    """

    key: KeyBinding
    description: str


def _action(description: str, key: int) -> Action:
    return Action(KeyBinding.from_int(key), f"Review: {description}")


ACTIONS = {
    "accept": _action("take the region into the final map", KeyCode.KeyA),
    "reject": _action("keep the coarse map in the region", KeyCode.KeyR),
    "next": _action("go to the next undecided region", KeyCode.KeyN),
    "previous": _action("go to the previous undecided region", KeyMod.Shift | KeyCode.KeyN),
    "accept_above": _action(
        "accept all undecided regions of enough confidence", KeyMod.Shift | KeyCode.KeyA
    ),
    "accept_rest": _action(
        "accept all undecided regions", KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyA
    ),
    "reject_rest": _action(
        "reject all undecided regions", KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyR
    ),
    "next_doubtful": _action("go to the next doubtful place, changed or not", KeyCode.KeyD),
    "compare": _action("show the coarse map as long as this is held", KeyCode.KeyH),
    "switch_final": _action("show the final map, or the refined one again", KeyCode.KeyG),
    "switch_outlines": _action("show maps as outlines, or filled again", KeyCode.KeyW),
}
"""By the name of the controller's method."""
HELD = "compare"
"""The action that lasts as long as its key is held."""
Command = Callable[[ViewerModel], Any]
_controllers: dict[int, ReviewController] = {}


def follow_keys(viewer: ViewerModel, controller: ReviewController) -> None:
    """Let the keys in a viewer act on a review."""
    if not _controllers:
        _register()
    _controllers[id(bare(viewer))] = controller


def leave_keys(viewer: ViewerModel, controller: ReviewController) -> None:
    """Let the keys in a viewer act on this review no longer."""
    if _controllers.get(id(bare(viewer))) is controller:
        del _controllers[id(bare(viewer))]


def tip(name: str) -> str:
    """Return what an action does, and the keys that it has now."""
    keys = action_manager._shortcuts.get(full_name(name), [])
    text = ACTIONS[name].description.removeprefix("Review: ")
    shown = " or ".join(Shortcut(key).platform for key in keys)
    return f"{text[0].upper()}{text[1:]}" + (f" ({shown})" if shown else "")


def full_name(name: str) -> str:
    """Return the name that an action has in napari."""
    return f"napari-c2f:review_{name}"


def _register() -> None:
    chosen = get_settings().shortcuts.shortcuts
    for name, action in ACTIONS.items():
        command = _holding(name) if name == HELD else _calling(name)
        command.__name__ = f"c2f_review_{name}"  # By it napari knows which keys are active.
        action_manager.register_action(full_name(name), command, action.description, ViewerModel)
        if full_name(name) not in chosen:
            action_manager.bind_shortcut(full_name(name), action.key)


def _calling(name: str) -> Command:
    def command(viewer: ViewerModel) -> None:
        if id(viewer) in _controllers:
            getattr(_controllers[id(viewer)], name)()

    return command


def _holding(name: str) -> Command:
    def command(viewer: ViewerModel) -> Iterator[None]:
        controller = _controllers.get(id(viewer))
        if controller is None:
            return
        getattr(controller, name)(True)
        yield
        getattr(controller, name)(False)

    return command
