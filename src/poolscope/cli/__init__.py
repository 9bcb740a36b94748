"""The command line, `poolscope`. Its libraries are an extra: nothing here imports them before `main` runs."""

import sys

_EXTRA = frozenset({"rich", "typer"})


def main() -> int:
    """Run the command line and return its exit status."""
    try:
        from poolscope.cli._app import run  # noqa: PLC0415  # an absent extra is one line, not a traceback
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        print(  # noqa: T201
            f"poolscope: {missing.name} is missing; the command line needs: pip install 'poolscope[cli]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130
    return run()
