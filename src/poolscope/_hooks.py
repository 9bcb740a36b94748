"""Hooks: methods of ours that stand in for those of one object, on the instance.

1. Its class, its other methods and its state are its own: whoever asks it for its status pays nothing for us.
2. The object holds its hook, so the hook holds the object weakly: what nobody else holds goes at once, as without us.
   A hook that closes asks for the object when it is called, not when it is awaited: until then nobody else may hold it.
3. What stood in there before us is called by us, and stands there again after us. A method of the class is looked up
   when it is called: another may stand in there meanwhile, such as a mock's.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import ref


class Hook:
    """What stands in for methods of one object. The object is what `_inner` gives, None once that was collected."""

    def __init__(self, inner: Any) -> None:
        self._inner = ref(inner)
        self._before: dict[str, Any] = {}

    def remove(self) -> None:
        """Take every method of ours away."""
        for name in self._before:
            self._uncover(name)

    def _under(self, name: str) -> Callable[..., Any]:
        """Give what is below a method once we stand in for it, to be called with the object as its first argument."""
        inner = self._inner()
        bound, method = getattr(inner, name), getattr(type(inner), name)
        # Its `__dict__` is asked last: CPython is faster with attributes as long as nobody has asked for that.
        plain = getattr(bound, "__self__", None) is inner and getattr(bound, "__func__", method) is method
        if plain or name not in vars(inner):  # of the class: some wrappers of a function make others of its methods
            self._before[name] = None
            return lambda one, *args, **options: getattr(type(one), name)(one, *args, **options)
        self._before[name] = bound
        return lambda _, *args, **options: bound(*args, **options)

    def _stand_in(self) -> None:
        """Stand in for each method whose `_under` is known: from here on another thread may call ours.

        Raises AttributeError where the object takes no attributes.
        """
        for name in self._before:
            self._cover(name)

    def _cover(self, name: str) -> None:
        """Stand in for a method, again."""
        setattr(self._inner(), name, getattr(self, name))

    def _uncover(self, name: str) -> None:
        """Let what is below stand there."""
        inner, before = self._inner(), self._before[name]
        with suppress(AttributeError):  # another thread was first
            if before is None:
                delattr(inner, name)
            else:
                setattr(inner, name, before)
