"""Build the native operators, or find out why they do not build: python -m torch_utils.ops build | doctor"""

import sys
from typing import cast

import click

from dnnlib.cli import Group
from dnnlib.errors import UserError
from torch_utils.native import doctor as findings
from torch_utils.native.loader import load
from torch_utils.native.toolchain import Device, ToolError


@click.group(cls=Group)
def main() -> None:
    """The native operators. Nothing needs them, but they are faster."""


@main.command()
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
              help="For which device; auto: for all that are here.")
def build(device: str) -> None:
    """Build them now, for every device here, even where the last attempt failed."""
    for each in findings.devices() if device == "auto" else [cast(Device, device)]:
        try:
            click.echo(f"{each}: {load(each, retry=True)}")
        except ToolError as error:
            raise UserError(f"{each}: {error.cause}; {error.cure}") from error


@main.command()
def doctor() -> None:
    """Say what is here, what is missing, and what to do. Exit status 1 when something is missing."""
    ill = False
    for finding in findings.examine():
        click.echo(f"{finding.what:12} {finding.state}")
        if finding.cure is not None:
            ill = True
            click.echo(f"{'':12} -> {finding.cure}")
    click.echo("something is missing; the PyTorch versions run instead" if ill else "all is well")
    sys.exit(1 if ill else 0)


if __name__ == "__main__":
    main(prog_name="python -m torch_utils.ops")
