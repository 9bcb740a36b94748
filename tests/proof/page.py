"""Writes what a run found into a page of the docs, between `<!-- make NAME -->` and `<!-- end -->`."""

import re
from pathlib import Path


def fill(page: Path, name: str, text: str) -> None:
    """Put text in the place of what stands between the marks."""
    inside = re.compile(rf"(?<=<!-- make {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)
    page.write_text(inside.sub(lambda _: text, page.read_text(), count=1))
