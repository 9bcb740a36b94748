"""The commands, one module each, and what every command has in common: exit statuses and one-line errors.

Exit status: 0 done, 1 a command's own "no", 2 wrong options or an unfit machine, 130 interrupted.
"""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from poolscope.cli._errors import CommandError
from poolscope.cli.demo import demo
from poolscope.cli.doctor import doctor
from poolscope.cli.export import export
from poolscope.cli.top import top

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(demo)
app.command()(doctor)
app.command()(export)
app.command()(top)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"poolscope {version('poolscope')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def poolscope(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Show what an httpx client's connection pool does."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; what the user can mend is reported in one line."""
    try:
        status = app(args=arguments, prog_name="poolscope", standalone_mode=False)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except typer.Abort:
        return _fail("interrupted", 130)
    except CommandError as error:
        return _fail(str(error), error.status)
    except Exception as error:
        # A wrong option's class lives in click or in typer, by typer's version: known by what it does.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        of = getattr(getattr(error, "ctx", None), "command_path", "poolscope")
        return _fail(f"{message().rstrip('.')} (see {of} --help)", 2)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    print(f"poolscope: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return status
