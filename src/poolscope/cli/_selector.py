"""Reads the option --selector: matchers that every selector of a query or a rule shall carry."""

import re

from poolscope.cli._errors import CommandError

_MATCHER = r'\s*[A-Za-z_]\w*\s*(=|!=|=~|!~)\s*"([^"\\]|\\.)*"\s*'
_SELECTOR = re.compile(rf"{_MATCHER}(,{_MATCHER})*")


def checked_selector(text: str) -> str:
    """Give the matchers; CommandError where the text is no list of such."""
    if text and not _SELECTOR.fullmatch(text):
        raise CommandError(f"""--selector: {text!r} is no list of matchers such as team="payments", env!="test\"""")
    return text.strip()
