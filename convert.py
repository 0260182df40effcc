"""Bring networks in, take them out: others' pickles become snapshots, snapshots become what others load.

\b
    python convert.py ffhq.pkl ffhq.safetensors        StyleGAN2-ADA's or EqGAN-SA's pickle; nothing in it is run
    python convert.py hf://owner/name model.safetensors
    python convert.py runs/00000-demo model.onnx       also .pt2 (torch.export), .pth (the reference's names), a folder
    python convert.py info ffhq.pkl
    python convert.py push hf://owner/name runs/00000-demo --license=cc-by-4.0
"""

from typing import TYPE_CHECKING

import click

from dnnlib.cli import PATH, Group, option, plugin_option

if TYPE_CHECKING:
    from interop.exportable import Latent

FORMS = ("snapshot", "state-dict", "onnx", "program", "bundle")
LICENSE = "What others may do with the model, such as cc-by-4.0; for its card."


class _WithDefault(Group):
    """`convert.py SRC DST` means `convert.py network SRC DST`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["network", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_WithDefault, help=__doc__)
def main() -> None:
    pass


@main.command()
@click.argument("source", metavar="SRC", type=PATH)
@click.argument("dest", metavar="DST", type=PATH)
@option("--as", "form", type=click.Choice(FORMS), show_default="by DST's ending", help="What to write.")
@option("--latent", type=click.Choice(["z", "ws"]), default="z", show_default=True,
        help="What an exported program takes: latents, or final styles.")
@option("--license", "license_name", metavar="NAME", default="", help=LICENSE)
@plugin_option()
def network(source: str, dest: str, form: str | None, latent: "Latent", license_name: str) -> None:
    """Write the network SRC as DST. `convert.py SRC DST` is the same."""
    from interop.forms import form_of, write_form

    for line in write_form(source, dest, form or form_of(dest), latent, license_name):
        click.echo(line)


@main.command()
@click.argument("source", metavar="FILE", type=PATH)
@plugin_option()
def info(source: str) -> None:
    """Say in words what a network file is. FILE: a snapshot, a run, a pickle of others, or an address."""
    from interop.description import describe

    for line in describe(source):
        click.echo(line)


@main.command()
@click.argument("address", metavar="hf://OWNER/NAME")
@click.argument("source", metavar="SRC", type=PATH)
@option("--license", "license_name", metavar="NAME", default="", help=LICENSE)
@option("--private", is_flag=True, help="Make a new repository private.")
@plugin_option()
def push(address: str, source: str, license_name: str, private: bool) -> None:
    """Upload the network SRC with its card to the Hugging Face hub."""
    from interop.hub import push as upload

    click.echo(f"uploaded to {upload(address, source, license_name, private)}")


if __name__ == "__main__":
    main()
