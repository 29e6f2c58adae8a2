"""``UserError``: an error that the user can correct."""


class UserError(Exception):
    """An error that the user can correct. The command line prints cause and cure, a line each, with exit code 2.

    Any other uncaught exception is a bug in textvae and is shown with its traceback (exit code 1).
    """

    def __init__(self, cause: str, cure: str) -> None:
        """``cause`` says what is wrong, ``cure`` what to do about it; each is one line without a full stop."""
        super().__init__(f"{cause}\n{cure}")
        self.cause = cause
        self.cure = cure
