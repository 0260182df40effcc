"""Why orthogonal regularization? What truncated latents do to generators trained with it and without.

    python -m experiments.orthogonal --runs=with=runs/00000 --runs=without=runs/00001 --out=orthogonal.png

Runs are of a model that truncates z, and differ in loss.g_orthogonal only (question-orthogonal and
question-no-orthogonal of experiments/lineage.yaml). For each threshold: the distance of their pictures to the data on
random features, as a multiple of that without truncation. Above 1, truncation costs more variety than it brings
quality. Printed as well: how parallel the filters of G are, the mean |cosine| of two filters of one layer.
"""

from typing import Any

import click

from dnnlib.cli import FILE, Command, Int


@click.command(cls=Command, help=__doc__)
@click.option("--runs", multiple=True, required=True, metavar="NAME=RUN", help="A run and its name in the plot.")
@click.option("--out", type=FILE, required=True, metavar="FILE.png", help="The plot to write.")
@click.option("--count", type=Int(2, 10**6), default=1000, show_default=True, help="Pictures of each.")
def main(**given: Any) -> None:
    from experiments.studies.orthogonal import study

    study(**given)


if __name__ == "__main__":
    main()
