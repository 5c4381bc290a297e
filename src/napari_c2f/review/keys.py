"""Keys of the review."""

from napari.utils.key_bindings import KeyBinding, KeyCode, KeyMod

from napari_c2f.base.keys import Action, Keys
from napari_c2f.review.controller import ReviewController as Review


def _key(key: int) -> KeyBinding:
    return KeyBinding.from_int(key)


KEYS = Keys(
    "Review",
    {
        "accept": Action(_key(KeyCode.KeyA), "take the region into the final map", Review.accept),
        "reject": Action(_key(KeyCode.KeyR), "keep the coarse map in the region", Review.reject),
        "next": Action(_key(KeyCode.KeyN), "go to the next undecided region", Review.next),
        "previous": Action(
            _key(KeyMod.Shift | KeyCode.KeyN),
            "go to the previous undecided region",
            Review.previous,
        ),
        "accept_above": Action(
            _key(KeyMod.Shift | KeyCode.KeyA),
            "accept all undecided regions of enough confidence",
            Review.accept_above,
        ),
        "accept_rest": Action(
            _key(KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyA),
            "accept all undecided regions",
            Review.accept_rest,
        ),
        "reject_rest": Action(
            _key(KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyR),
            "reject all undecided regions",
            Review.reject_rest,
        ),
        "next_doubtful": Action(
            _key(KeyCode.KeyD),
            "go to the next doubtful place, changed or not",
            Review.next_doubtful,
        ),
        "compare": Action(
            _key(KeyCode.KeyH),
            "show the coarse map as long as this is held",
            Review.compare,
            is_held=True,
        ),
        "switch_final": Action(
            _key(KeyCode.KeyG), "show the final map, or the refined one again", Review.switch_final
        ),
        "switch_outlines": Action(
            _key(KeyCode.KeyW), "show maps as outlines, or filled again", Review.switch_outlines
        ),
    },
)
"""By the name of the controller's method."""
