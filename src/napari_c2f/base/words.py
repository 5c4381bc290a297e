"""Words of messages to the user."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in "1 image" and "2,000 images".

    Parameters
    ----------
    number : int
        Number of things, at least 0.
    noun : str
        Noun in the singular, whose plural ends in "s".
    """
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"
