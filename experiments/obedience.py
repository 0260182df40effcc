"""Does a conditional generator obey? Its pictures of the data set's own conditions, looked at by simple means.

    python -m experiments.obedience --network=runs/00000-toys32-demo-spade --count=500

Classes: the share that a small classifier, trained on real pictures, takes for what they should be. Label maps: mean
intersection over union of the map and a segmentation by colour. Captions with colours, of playrooms: the share with the
colours and the side (left of, above, below) that the caption says. Beside each figure stand the same of the real
pictures with their own conditions, which is the best to hope for, and with those of others, which is chance.
"""

from typing import Any

import click

from dnnlib.cli import FILE, PATH, Command, Int


@click.command(cls=Command, help=__doc__)
@click.option("--network", type=FILE, required=True, metavar="PATH", help="Snapshot file, or a run directory.")
@click.option("--data", type=PATH, metavar="PATH", help="The data set, where it is no longer where it was.")
@click.option("--count", type=Int(2, 10**6), default=500, show_default=True, help="How many pictures.")
def main(**given: Any) -> None:
    from experiments.studies.obedience import study

    study(**given)


if __name__ == "__main__":
    main()
