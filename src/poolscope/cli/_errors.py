"""The one error that a command raises for what the user must read: one line and an exit status."""


class CommandError(Exception):
    """A command cannot go on. Its text is one line for the user; status: the exit status."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
