"""How the command line writes numbers."""


def seconds(value: float | None) -> str:
    """Write a duration with the digits that matter; a dash where there is none."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if value < 0.001:
        return "<1 ms"
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.1f} s"


def count(value: float | None) -> str:
    """Write a whole number; a dash where there is none."""
    return "-" if value is None else f"{value:.0f}"


def rate(value: float | None) -> str:
    """Write events a second; a dash where nothing is known of them."""
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def clock(value: float) -> str:
    """Write minutes and seconds."""
    return f"{int(value) // 60}:{int(value) % 60:02d}"


def printable(text: str) -> str:
    """Write a text from elsewhere, such as a label's value, without what could steer a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
