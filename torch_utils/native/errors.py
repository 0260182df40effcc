"""The one exception of building and loading."""


class ToolError(Exception):
    """Something to compile with, or a library, is missing or broken. `cure` says what to do."""

    def __init__(self, cause: str, cure: str):
        super().__init__(cause)
        self.cause, self.cure = cause, cure
