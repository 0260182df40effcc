"""The one exception that means: the user gave something we cannot work with. And which others mean as much."""

import errno

CUT = 600  # characters of a message; longer ones are cut in the middle
REASON = 300  # of a part of one


class UserError(ValueError):
    """Bad input. The message is one line: what is wrong, where, and what to do.

    Command lines print it without a traceback and exit with status 2 (see dnnlib.cli).
    """


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # no room
_FILES = FULL | {
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.EIO, errno.EINVAL, errno.ESTALE, errno.EMFILE, errno.ENXIO),
}
_NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "Unable to allocate")


def as_user_error(error: BaseException) -> UserError | None:
    """What to say, in one line, of an error that a user can do something about; None for a fault of the program.

    These are UserError, files that cannot be read or written (a full disk, no permission), and lack of memory.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno in _FILES:
        return UserError(_of_file(error))
    if isinstance(error, MemoryError) or _lacks_memory(error):
        return UserError("not enough memory; use smaller batches, networks or pictures")
    return None


def _of_file(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename is not None else ""
    reason = (error.strerror or str(error)).lower()
    if error.errno in FULL:
        return f"{where}cannot write, {reason}; make room, or choose another place"
    return f"{where}{reason}"


def _lacks_memory(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def in_one_line(said: object, longest: int = CUT) -> str:
    """A message, or an exception's, without line breaks and control characters, cut in the middle when it is longer."""
    line = printable(" ".join(str(said).split()))
    if len(line) <= longest:
        return line
    return f"{line[: longest // 2]} ... {line[-longest // 2 :]}"


def printable(text: str) -> str:
    """With escapes, such as \\x1b, in the place of what is no printable character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
