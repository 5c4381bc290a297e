"""Keys of the widgets: actions of napari, so that its preferences list and change them.

napari ignores the `keybindings` of plugins' manifests, but its action manager accepts actions
from anyone. Its actions belong to all viewers; ours do nothing in a viewer whose widget is not
open.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut
from napari.utils.key_bindings import KeyBinding

from napari_c2f.base.proxies import bare

Command = Callable[[ViewerModel], Iterator[None]]
Target = TypeVar("Target")


@dataclass(frozen=True)
class Action(Generic[Target]):
    """An action that a key starts.

    Attributes
    ----------
    key : KeyBinding
        Default key; the user may choose another one.
    description : str
        Text in napari's preferences and in tool tips.
    run : callable
        Function that is called with the target of the viewer, and for a held action also with
        whether its key was pressed (True) or released (False).
    is_held : bool
        Whether the action lasts as long as its key is held.
    """

    key: KeyBinding
    description: str
    run: Callable[..., Any]
    is_held: bool = False


class Keys(Generic[Target]):
    """The actions of one widget, and the target that they act on in each viewer.

    napari has one action manager for all viewers, which passes only the viewer to an action.
    Each widget's `KEYS` is therefore the one registry of its targets.

    Parameters
    ----------
    widget : str
        Name of the widget.
    actions : mapping of str to Action
        Actions by name.
    """

    def __init__(self, widget: str, actions: Mapping[str, Action[Target]]) -> None:
        self.widget, self.actions = widget, dict(actions)
        self.targets: WeakKeyDictionary[ViewerModel, list[Target]] = WeakKeyDictionary()
        """Targets in each viewer, of which the latest is acted on."""

    def follow(self, viewer: ViewerModel, target: Target) -> None:
        """Let the keys in a viewer act on this target."""
        if not self.targets:
            self._register()
        self.targets.setdefault(bare(viewer), []).append(target)

    def leave(self, viewer: ViewerModel, target: Target) -> None:
        """Stop the keys in a viewer from acting on this target."""
        targets = self.targets.get(bare(viewer), [])
        if target in targets:
            targets.remove(target)
        if not targets:
            self.targets.pop(bare(viewer), None)

    def listed(self, name: str) -> str:
        """Return the text of an action in napari's preferences."""
        return f"{self.widget}: {self.actions[name].description}"

    def tip(self, name: str) -> str:
        """Return the description of an action, and its current keys."""
        keys = action_manager._shortcuts.get(self.full_name(name), [])
        text = self.actions[name].description
        shown = " or ".join(Shortcut(key).platform for key in keys)
        return f"{text[0].upper()}{text[1:]}" + (f" ({shown})" if shown else "")

    def full_name(self, name: str) -> str:
        """Return the name of an action in napari."""
        return f"napari-c2f:{self.widget.lower()}_{name}"

    def _register(self) -> None:
        chosen = get_settings().shortcuts.shortcuts
        for name, action in self.actions.items():
            full_name = self.full_name(name)
            command = self._held_command(action) if action.is_held else self._command(action)
            # napari tells by this name which keys are active.
            command.__name__ = f"c2f_{self.widget.lower()}_{name}"
            action_manager.register_action(full_name, command, self.listed(name), ViewerModel)
            if full_name not in chosen:
                action_manager.bind_shortcut(full_name, action.key)

    def _command(self, action: Action[Target]) -> Command:
        def command(viewer: ViewerModel) -> Iterator[None]:
            if viewer in self.targets:
                action.run(self.targets[viewer][-1])
            # napari remembers what the release of a key does, without its modifiers, until the key
            # does something else: after "3", the release of Ctrl+3 would take the tool back.
            yield

        return command

    def _held_command(self, action: Action[Target]) -> Command:
        def command(viewer: ViewerModel) -> Iterator[None]:
            if viewer not in self.targets:
                return
            target = self.targets[viewer][-1]
            action.run(target, True)
            yield
            action.run(target, False)

        return command
