"""A table of pictures whose coarse, middle or fine styles come from other pictures.

\b
    python style_mixing.py --network=runs/00000-demo --rows=0-3 --cols=10-15 --layers=middle --outdir=out

A row's picture gives everything but the chosen layers, and the layout; a column's gives those layers. The first row and
the first column show the pictures themselves.
"""

import click

from dnnlib.cli import PATH, Command, Number, Seeds, option, plugin_option

WHAT, OUTPUT, HARDWARE = "What is mixed", "Output", "Hardware"
MOST = 64  # rows or columns


@click.command(cls=Command, help=__doc__)
@option("--network", group=WHAT, metavar="PATH", required=True, type=PATH,
        help="Snapshot file, or a run directory for its newest one.")
@option("--rows", group=WHAT, metavar="LIST", required=True, type=Seeds(MOST), help="Seeds, such as 0,3,5-8.")
@option("--cols", group=WHAT, metavar="LIST", required=True, type=Seeds(MOST), help="Seeds.")
@option("--layers", "--styles", group=WHAT, metavar="WHICH", default="middle", show_default=True,
        help="Layers whose styles the columns give: coarse (up to 8x8), middle, fine (from 64x64 on, or of the last "
             "resolution), or numbers such as 0-3.")
@option("--class", "class_label", group=WHAT, metavar="NAME|K|LIST",
        help="For models trained with labels: a class by its name or number, or a whole label.")
@option("--trunc", group=WHAT, metavar="PSI", type=Number(-10, 10), default=1.0, show_default=True,
        help="Less variety for more typical pictures: 1 is off.")
@option("--outdir", group=OUTPUT, metavar="DIR", required=True, type=PATH, help="Folder for grid.png.")
@option("--device", group=HARDWARE, default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@plugin_option(WHAT)
def main(
    network: str, rows: list[int], cols: list[int], layers: str, class_label: str | None, trunc: float, outdir: str,
    device: str,
) -> None:  # fmt: skip
    from dnnlib.files import make_dir
    from editing.style_mixing import mixing_grid, parse_layers
    from training.data.class_names import chosen_class
    from training.pictures.grids import save_png
    from training.runs.snapshot import find_snapshot
    from training.sampling import Model

    model = Model.load(network, device)
    parse_layers(layers, model)  # a model without styles is refused before it is asked for a class
    label = chosen_class(class_label, model.config.generator.c_dim, find_snapshot(network))
    grid = mixing_grid(model, rows, cols, layers, label, trunc)
    click.echo(f"wrote {save_png(make_dir(outdir) / 'grid.png', grid)}")


if __name__ == "__main__":
    main()
