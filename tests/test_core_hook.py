"""A hook stands in for methods of an object that it does not own, and does not hold that."""

import gc
from weakref import ref

import pytest

from poolscope._hooks import Hook


class Thing:
    def speak(self, word):
        return f"thing: {word}"


class Loud(Hook):
    """Stands in for `speak`."""

    def __init__(self, inner):
        super().__init__(inner)
        self.below = self._under("speak")
        self._stand_in()

    def speak(self, word):
        """Say it louder."""
        return self.below(self._inner(), word).upper()


class Wrapped:
    """A function of a class, wrapped as wrapt does it: what is bound to an object is another wrapper."""

    def __init__(self, function):
        self.function = function

    def __get__(self, thing, owner=None):
        bound = Wrapped(self.function.__get__(thing, owner))
        bound.__self__, bound.__func__ = thing, self.function
        return bound

    def __call__(self, *args):
        return self.function(*args)


def test_a_wrapper_of_the_class_is_not_the_objects_own(monkeypatch):
    """It is looked up at the call, and does not hold the object."""
    monkeypatch.setattr(Thing, "speak", Wrapped(Thing.speak))
    thing = Thing()
    gone = ref(thing)
    Loud(thing)
    assert thing.speak("a") == "THING: A"
    monkeypatch.undo()
    monkeypatch.setattr(Thing, "speak", lambda self, word: f"other: {word}")
    assert thing.speak("a") == "OTHER: A"
    del thing
    assert gone() is None


def test_a_hook_goes_with_its_object_at_once():
    """Without the garbage collector: neither holds the other in a cycle."""
    thing = Thing()
    hook, gone = ref(Loud(thing)), ref(thing)
    assert thing.speak("go") == "THING: GO"
    gc.disable()
    try:
        del thing
        assert gone() is hook() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("own", [Thing.speak, lambda self, word: f"{type(self).__name__} of its own: {word}"])
def test_what_stood_there_before_is_called_and_stands_there_again(own):
    """Nothing, or another function bound to the object itself."""
    thing = Thing()
    thing.speak = own.__get__(thing)
    said = thing.speak("a")
    Loud(thing)
    assert thing.speak("a") == said.upper()
    thing.speak.__self__.remove()
    assert thing.speak("a") == said


def test_two_hooks_come_off_in_turn():
    thing = Thing()
    first, second = Loud(thing), Loud(thing)
    second.remove()
    assert thing.speak.__self__ is first
    first.remove()
    first.remove()
    assert vars(thing) == {}
