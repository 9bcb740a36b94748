"""Spans as they came over the wire, and how they hang together."""

from dataclasses import dataclass, field

from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass
class Span:
    """One span. Ids are bytes, times nanoseconds. links: (trace id, span id). events: (name, attributes, time)."""

    name: str
    kind: str
    scope: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start: int
    end: int
    attributes: dict
    events: list = field(default_factory=list)
    links: list = field(default_factory=list)
    error: bool = False
    trace_state: str = ""

    @classmethod
    def of(cls, span: trace_pb2.Span, scope: str) -> "Span":
        return cls(
            span.name,
            trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            scope,
            span.trace_id,
            span.span_id,
            span.parent_span_id,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            _values(span.attributes),
            [(event.name, _values(event.attributes), event.time_unix_nano) for event in span.events],
            [(link.trace_id, link.span_id) for link in span.links],
            span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
            span.trace_state,
        )

    @property
    def key(self) -> tuple[bytes, bytes]:
        return self.trace_id, self.span_id

    @property
    def short(self) -> str:
        """Its name without the address at the end."""
        return self.name.rsplit(" ", 1)[0] if self.kind == "INTERNAL" and " " in self.name else self.name


def _values(attributes) -> dict:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Tree:
    """The spans that came. `shape(span)` is what stands below a span, by name, in order of the start."""

    def __init__(self, spans: list[Span]):
        self.spans = sorted(spans, key=lambda span: span.start)
        self.by_key = {span.key: span for span in spans}
        assert len(self.by_key) == len(spans), "a span came twice"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if name in (span.name, span.short)]

    def one(self, name: str) -> Span:
        (found,) = self.named(name)
        return found

    @property
    def clients(self) -> list[Span]:
        return [span for span in self.spans if span.kind == "CLIENT"]

    def parent(self, span: Span) -> Span | None:
        return self.by_key.get((span.trace_id, span.parent_id))

    def children(self, span: Span) -> list[Span]:
        return [one for one in self.spans if one.trace_id == span.trace_id and one.parent_id == span.span_id]

    def shape(self, span: Span) -> dict:
        return {child.short: self.shape(child) for child in self.children(span)}


def misplaced(tree: Tree) -> list[str]:
    """Give what is wrong with spans of ours: no parent, outside the parent's time, ending before they start."""
    wrong = []
    for span in tree.spans:
        parent = tree.parent(span)
        if span.end < span.start:
            wrong.append(f"{span.name} ends {span.start - span.end} ns before it starts")
        if span.parent_id and parent is None:
            wrong.append(f"{span.name} has a parent that never came")
        if (
            parent is not None
            and span.scope == "poolscope"
            and not parent.start <= span.start <= span.end <= parent.end
        ):
            wrong.append(
                f"{span.name} is not inside {parent.name}: {span.start - parent.start}, {parent.end - span.end}"
            )
    return wrong
