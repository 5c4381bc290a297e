"""Keys of the widgets: actions of napari, so that its preferences list and change them.

napari passes over the `keybindings` of plugins' manifests, but its action manager takes
actions of anyone. They belong to all viewers and do nothing where the widget is not open.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut
from napari.utils.key_bindings import KeyBinding

from napari_c2f.base.proxies import bare

Command = Callable[[ViewerModel], Any]


@dataclass(frozen=True)
class Action:
    """What a key does.

    Attributes
    ----------
    key : KeyBinding
        Unless the user chose another one.
    description : str
        As napari's preferences and the tool tips say it.
    run : callable
        Does it to the target of a viewer; an action that lasts as long as its key is
        held is also given whether it begins.
    is_held : bool
    """

    key: KeyBinding
    description: str
    run: Callable[..., Any]
    is_held: bool = False


class Keys:
    """The actions of one widget, and what they act on in each viewer.

    Parameters
    ----------
    widget : str
    actions : dict
        By name.
    """

    def __init__(self, widget: str, actions: Mapping[str, Action]) -> None:
        self.widget, self.actions = widget, dict(actions)
        self.targets: dict[int, Any] = {}

    def follow(self, viewer: ViewerModel, target: Any) -> None:
        """Let the keys in a viewer act on this target."""
        if not self.targets:
            self._register()
        self.targets[id(bare(viewer))] = target

    def leave(self, viewer: ViewerModel, target: Any, *_: Any) -> None:
        """Let the keys in a viewer act on this target no longer."""
        if self.targets.get(id(bare(viewer))) is target:
            del self.targets[id(bare(viewer))]

    def listed(self, name: str) -> str:
        """Return what napari's preferences say of an action."""
        return f"{self.widget}: {self.actions[name].description}"

    def tip(self, name: str) -> str:
        """Return what an action does, and the keys that it has now."""
        keys = action_manager._shortcuts.get(self.full_name(name), [])
        text = self.actions[name].description
        shown = " or ".join(Shortcut(key).platform for key in keys)
        return f"{text[0].upper()}{text[1:]}" + (f" ({shown})" if shown else "")

    def full_name(self, name: str) -> str:
        """Return the name that an action has in napari."""
        return f"napari-c2f:{self.widget.lower()}_{name}"

    def _register(self) -> None:
        chosen = get_settings().shortcuts.shortcuts
        for name, action in self.actions.items():
            full_name = self.full_name(name)
            command = self._holding(action) if action.is_held else self._calling(action)
            # By it napari knows which keys are active.
            command.__name__ = f"c2f_{self.widget.lower()}_{name}"
            action_manager.register_action(full_name, command, self.listed(name), ViewerModel)
            if full_name not in chosen:
                action_manager.bind_shortcut(full_name, action.key)

    def _calling(self, action: Action) -> Command:
        def command(viewer: ViewerModel) -> None:
            if id(viewer) in self.targets:
                action.run(self.targets[id(viewer)])

        return command

    def _holding(self, action: Action) -> Command:
        def command(viewer: ViewerModel) -> Iterator[None]:
            target = self.targets.get(id(viewer))
            if target is None:
                return
            action.run(target, True)
            yield
            action.run(target, False)

        return command
