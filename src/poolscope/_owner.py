"""What every transport that uses an observer holds: when the last of them is collected, nobody can use the pool."""

from collections import deque
from typing import Any

from poolscope._records import Checkout


class Owner:
    """unclosed: bodies that were collected unclosed, with their requests, for the next request that enters to close.

    They hold the pool. So whoever holds an observer, as sinks and finalizers do, must not hold them.
    """

    def __init__(self) -> None:
        self.unclosed: deque[tuple[Any, Checkout]] = deque()
