"""Read the next item and write the last one while an item is worked on."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Content = TypeVar("Content")


def overlapped(
    items: Sequence[Item],
    read: Callable[[Item], Content],
    work: Callable[[int, Content], None],
    write: Callable[[Item, Content], None],
    may_read_ahead: Callable[[Content], bool],
) -> None:
    """Read, work on and write each item; reading and writing take place in two threads.

    At most three contents are in memory. After an error nothing more is read or worked on,
    and what has been worked on is written.

    Parameters
    ----------
    items : sequence
        Items in the order in which they are worked on.
    read : callable
        Function that returns the content of an item.
    work : callable
        Function that changes a content in this thread; it also gets the number of the item.
    write : callable
        Function that writes a content that has been worked on.
    may_read_ahead : callable
        Function that decides from the content under work whether the next one is read meanwhile.

    Raises
    ------
    Exception
        Any error of the functions.
    """
    written: Future[None] | None = None
    with ThreadPoolExecutor(1, "reading") as reader, ThreadPoolExecutor(1, "writing") as writer:
        following = reader.submit(read, items[0]) if items else None
        for number, item in enumerate(items):
            content = following.result() if following else read(item)
            is_last = number + 1 == len(items)
            read_ahead = not is_last and may_read_ahead(content)
            following = reader.submit(read, items[number + 1]) if read_ahead else None
            work(number, content)
            if written:
                written.result()
            written = writer.submit(write, item, content)
            del content
        if written:
            written.result()
