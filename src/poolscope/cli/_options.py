"""Reads options whose values have a form of their own; a wrong one is refused in one line by the option's name."""

import math
import re
from collections.abc import Callable
from datetime import datetime

import typer

from poolscope.cli._errors import CommandError

_URL = re.compile(r"https?://[^\s\"']+")
_LAST_SECOND = 253402300799.0  # of the year 9999, after which there are no dates


def between(least: float, most: float) -> Callable[[str], float]:
    """Give a parser of numbers in this range. NaN is in none."""

    def parse(text: str) -> float:
        number = _number(text)
        if not least <= number <= most:
            raise typer.BadParameter(f"{text!r} is no number from {least:g} to {most:g}")
        return number

    return parse


def moment(option: str, text: str) -> float:
    """Read a moment: seconds since 1970, or ISO 8601, which without an offset is this machine's time."""
    number = _number(text)
    if math.isnan(number):
        try:
            number = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):
            number = math.nan
    if not 0 <= number <= _LAST_SECOND:
        raise CommandError(f"{option}: {text!r} is no moment, such as 2026-01-31T12:00:00+00:00 or 1769860800")
    return number


def base_url(option: str, text: str, otherwise: str) -> str:
    """Read where pages are; `otherwise` where nothing is given."""
    if text and not _URL.fullmatch(text):
        raise CommandError(f"{option}: {text!r} is no http or https URL")
    return text or otherwise


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
