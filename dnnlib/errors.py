"""The one exception that means: the user gave something we cannot work with."""


class UserError(ValueError):
    """Bad input. The message is one line: what is wrong, where, and what to do.

    Command lines print it without a traceback and exit with status 2 (see dnnlib.cli).
    """
