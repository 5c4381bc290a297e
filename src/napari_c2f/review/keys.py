"""Keys of the Review widget."""

from collections.abc import Callable

from napari.utils.key_bindings import KeyBinding, KeyCode, KeyMod

from napari_c2f.base.keys import Action, Keys
from napari_c2f.review.controller import ReviewController
from napari_c2f.review.open_review import OpenReview


def _action(
    key: int, description: str, run: Callable[..., None], *, is_held: bool = False
) -> Action[ReviewController]:
    """Return an action on the review under way; it does nothing without one.

    Parameters
    ----------
    key : int
        napari's code of the key.
    description : str
        Description of the key's action, for tool tips and napari's preferences.
    run : callable
        Function that is called with the review and, for a key that is held, with whether it was
        pressed.
    is_held : bool
        Whether the action lasts while the key is held.
    """

    def run_in_review(controller: ReviewController, *pressed: bool) -> None:
        if controller.review is not None:
            run(controller.review, *pressed)

    return Action(KeyBinding.from_int(key), description, run_in_review, is_held)


KEYS = Keys(
    "Review",
    {
        "accept": _action(KeyCode.KeyA, "accept the region", OpenReview.accept),
        "reject": _action(
            KeyCode.KeyR, "reject the region: keep the coarse map there", OpenReview.reject
        ),
        "next": _action(
            KeyCode.KeyN, "go to the next undecided region", lambda review: review.navigator.next()
        ),
        "previous": _action(
            KeyMod.Shift | KeyCode.KeyN,
            "go to the previous undecided region",
            lambda review: review.navigator.previous(),
        ),
        "accept_above": _action(
            KeyMod.Shift | KeyCode.KeyA,
            "accept all undecided regions with at least the minimum confidence",
            OpenReview.accept_above,
        ),
        "accept_rest": _action(
            KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyA,
            "accept all undecided regions",
            OpenReview.accept_rest,
        ),
        "reject_rest": _action(
            KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyR,
            "reject all undecided regions",
            OpenReview.reject_rest,
        ),
        "accept_small": _action(
            KeyMod.Shift | KeyCode.KeyS,
            "accept all undecided regions of up to the small size",
            OpenReview.accept_small,
        ),
        "reject_small": _action(
            KeyMod.Shift | KeyCode.KeyR,
            "reject all undecided regions of up to the small size",
            OpenReview.reject_small,
        ),
        "next_doubtful": _action(
            KeyCode.KeyD,
            "go to the next doubtful region, changed or not",
            lambda review: review.navigator.next_doubtful(),
        ),
        "compare": _action(
            KeyCode.KeyH,
            "show the coarse map while held",
            lambda review, pressed: review.display.compare(pressed),
            is_held=True,
        ),
        "switch_final": _action(
            KeyCode.KeyG,
            "switch between the final and the fine map",
            lambda review: review.display.switch_final(),
        ),
    },
)
"""Actions of the review by name; the widget's buttons run the same ones."""
