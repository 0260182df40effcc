"""Command lines: click, with one error style for all tools."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from click.exceptions import NoArgsIsHelpError

from dnnlib.errors import UserError


class _OneLineErrors:
    """Turns bad input, click's own complaints included, into a single `Error: ...` line and exit status 2."""

    def make_context(self, *args, **kwargs):
        with _one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context):
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        raise _failure(error.format_message() + hint) from error
    except UserError as error:
        raise _failure(str(error)) from error


def _failure(message: str) -> click.ClickException:
    failure = click.ClickException(" ".join(message.split()))
    failure.exit_code = 2
    return failure


class Command(_OneLineErrors, click.Command):
    """click.Command that reports UserError in one line."""


class Group(_OneLineErrors, click.Group):
    """click.Group that reports UserError in one line, from its sub-commands too."""

    command_class = Command
