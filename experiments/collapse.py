"""Why minibatch standard deviation? Whether D can see a generator that repeats itself.

    python -m experiments.collapse --data=data/critters32.zip --out=collapse.png

The "generator" here makes faultless pictures without variety: each of its batches is one training image, again and
again, another one each time. Single images say nothing then; only a batch does. D (ProGAN's) is trained to tell such
batches from those of different images, with minibatch standard deviation and without, and is scored on images that it
was not trained on.
"""

from typing import Any

import click

from dnnlib.cli import FILE, PATH, Command, Int


@click.command(cls=Command, help=__doc__)
@click.option("--data", required=True, metavar="PATH", type=PATH,
              help="Images: a zip or folder made by dataset_tool.py.")
@click.option("--out", type=FILE, required=True, metavar="FILE.png", help="The plot to write.")
@click.option("--steps", type=Int(1, 10**6), default=200, show_default=True, help="Of each D.")
@click.option("--seeds", type=Int(1, 100), default=2, show_default=True, help="How many of each kind.")
def main(**given: Any) -> None:
    from experiments.studies.collapse import study

    study(**given)


if __name__ == "__main__":
    main()
