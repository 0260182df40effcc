"""The one exception that means: the user gave something we cannot work with."""

LONGEST_REASON = 300  # letters


class UserError(ValueError):
    """Bad input. The message is one line: what is wrong, where, and what to do.

    Command lines print it without a traceback and exit with status 2 (see dnnlib.cli).
    """


def one_line(error: BaseException) -> str:
    """An exception's message in one line of bounded length, for use within another one."""
    return shortened(" ".join(str(error).split()))


def shortened(text: str) -> str:
    """At most LONGEST_REASON letters."""
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."
