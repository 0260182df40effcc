"""Command lines: click, with one error style for all tools."""

import click

from dnnlib.errors import UserError


class _OneLineErrors:
    """Turns UserError into a single `Error: ...` line and exit status 2."""

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except UserError as error:
            failure = click.ClickException(" ".join(str(error).split()))
            failure.exit_code = 2
            raise failure from error


class Command(_OneLineErrors, click.Command):
    """click.Command that reports UserError in one line."""


class Group(_OneLineErrors, click.Group):
    """click.Group that reports UserError in one line, from its sub-commands too."""

    command_class = Command
