"""Runs the command line as its users do: as a process with pipes, or in a terminal that is read and typed into."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

POOLSCOPE = [sys.executable, "-m", "poolscope.cli"]
PATIENCE = 30


@contextlib.contextmanager
def started(*arguments, **options):
    """Run `poolscope` with pipes; whatever becomes of it, it is gone after the block."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([*POOLSCOPE, *arguments], **{**pipes, **options}) as process:
        try:
            yield process
        finally:
            process.kill()


class Terminal:
    """A program in a pseudo-terminal. written: all that it wrote so far."""

    def __init__(self, process, controller):
        self.process = process
        self.written = ""
        self._controller = controller
        self._seen = 0

    def until(self, *texts):
        """Read until the program has written each of these since the last call; give what it wrote since."""
        deadline = time.monotonic() + PATIENCE
        while not all(text in self.written[self._seen :] for text in texts):
            assert self._read(deadline), f"it ended or stood still before it wrote {texts}: {self.written[-3000:]!r}"
        new, self._seen = self.written[self._seen :], len(self.written)
        return new

    def type(self, keys):
        os.write(self._controller.fileno(), keys.encode())

    def resize(self, rows, columns):
        fcntl.ioctl(self._controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self):
        """Give what the terminal does with typed keys: (echoes, waits for whole lines)."""
        flags = termios.tcgetattr(self._controller)[3]
        return bool(flags & termios.ECHO), bool(flags & termios.ICANON)

    def end(self, number=None):
        """Send a signal, if one is given; read to the end; give the exit status."""
        if number is not None:
            self.process.send_signal(number)
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, deadline):
        if not select.select([self._controller], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            chunk = self._controller.read(65536)
        except OSError:  # the other end is closed: Linux says so
            return False
        self.written += chunk.decode(errors="replace")
        return bool(chunk)


@contextlib.contextmanager
def terminal(*arguments, rows=30, columns=110, keyboard=True, **environment):
    """Run `poolscope` in a terminal of this size. keyboard: whether that is its standard input, too."""
    controller, own = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr") if keyboard else ("stdout", "stderr"), own)
    with contextlib.closing(os.fdopen(controller, "r+b", buffering=0)) as screen:
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", **environment}
        for size in ("COLUMNS", "LINES"):  # the terminal says how large it is, not whoever ran the tests
            environment.pop(size, None)
        with started(*arguments, **streams, text=False, env=environment, start_new_session=True) as process:
            os.close(own)
            yield Terminal(process, screen)


def in_terminal(arguments, until, **options):
    """Run in a terminal until it wrote `until`, then interrupt; give the status and all that it wrote."""
    with terminal(*arguments, **options) as shown:
        shown.until(until)
        return shown.end(signal.SIGINT), shown.written
