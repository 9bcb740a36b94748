"""A real receiver of OTLP over HTTP, and the spans that it received as a tree."""

from otlp.receiver import Receiver
from otlp.tree import Span, Tree, misplaced

__all__ = ["Receiver", "Span", "Tree", "misplaced"]
