"""The numbers of one pool's origins. Under the caps of `_origins` a label that was once given never changes."""

from poolscope._origins import grant, label_of
from poolscope._tally import OriginTally, Point


class Tallies:
    """The numbers by label, those of the pool itself first. Every method is called with the pool's lock held.

    points: those that were ever read, each as the one object that every reading of it has for a key. A reading that
    made its keys anew would leave so many objects at once that they start the garbage collector.
    """

    def __init__(self) -> None:
        self.whole = OriginTally("", "")
        self.by_label = {("", ""): self.whole}
        self.points: dict[Point, Point] = {}
        self._by_origin: dict[tuple[bytes, bytes, int | None], OriginTally] = {}

    def of(self, scheme: bytes, host: bytes, port: int | None) -> OriginTally:
        """Give the numbers of an origin; past the cap those of `_OTHER`."""
        key = (scheme, host, port)
        tally = self._by_origin.get(key)
        if tally is None:
            named = label_of(scheme, host, port)
            label = named if named in self.by_label else grant(named, len(self.by_label) - 1)
            tally = self.by_label.get(label)
            if tally is None:
                tally = self.by_label[label] = OriginTally(*label)
            if label == named:
                self._by_origin[key] = tally
        return tally
