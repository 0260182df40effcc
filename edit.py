"""Edit pictures of a trained model: move what is in them, in the browser or by command.

\b
    python edit.py --network=runs/00000-demo                 # opens the editor in the browser
    python edit.py serve --help                              # its options
"""

import importlib
from pathlib import Path

import click

from dnnlib.cli import Group

COMMANDS = Path(__file__).parent / "editing" / "commands"


class FoundWhenCalled(Group):
    """A group whose sub-commands are the modules of editing/commands; a first word that is an option means serve."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(path.stem.replace("_", "-") for path in COMMANDS.glob("[a-z]*.py"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        return importlib.import_module(f"editing.commands.{name.replace('-', '_')}").command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h"):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=FoundWhenCalled, help=__doc__)
def main() -> None:
    pass


if __name__ == "__main__":
    main()
