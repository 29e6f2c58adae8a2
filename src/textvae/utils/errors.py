"""The one kind of error a user can mend."""


class UserError(Exception):
    """Something the user can put right: printed as one line of cause and one line of cure, exit code 2.

    Everything else that escapes is a defect of ours and keeps its traceback (exit code 1).
    """

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__(f"{cause}\n{cure}")
        self.cause = cause
        self.cure = cure
