"""`edit.py export`: the page as a folder for any static host."""

import click

from dnnlib.cli import PATH, Command, Int, option, plugin_option
from dnnlib.words import counted

MODEL, OUTPUT = "Model", "Output"


@click.command(cls=Command)
@option("--network", group=MODEL, metavar="PATH", required=True, type=PATH,
        help="Run directory (its newest snapshot), snapshot or checkpoint.")
@option("--dest", group=OUTPUT, metavar="FOLDER", required=True, type=PATH,
        help="The folder to write; an earlier export there is replaced.")
@option("--seeds", group=OUTPUT, metavar="N", type=Int(1, 65536), default=256, show_default=True,
        help="The page knows the seeds 0 to N - 1: their latents and layouts are in it.")
@option("--runtime", group=OUTPUT, metavar="FOLDER", type=PATH, show_default="from npm's registry, checked",
        help="Where the files of the npm package onnxruntime-web are.")
@plugin_option(MODEL)
def command(network: str, dest: str, seeds: int, runtime: str | None) -> None:
    """Write the editor as a static page, in which the generator itself runs in the browser.

    \b
        python edit.py export --network=runs/00000-demo --dest=page
        python -m http.server --directory page            # any static host will do
    """
    from pathlib import Path

    from editing.static_page import export_page

    sizes, worst = export_page(network, dest, seeds, None if runtime is None else Path(runtime))
    click.echo(f"wrote {counted(len(sizes), 'file')}, {sum(sizes.values()) / 2**20:.1f} MiB, to {dest}")
    click.echo(f"the ONNX model's images differ from the model's by {worst:.2g} at most")
    click.echo(f"to look at it: python -m http.server --directory {dest}")
