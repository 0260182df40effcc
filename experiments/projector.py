"""How near projector.py comes to pictures that a model made itself, with and without looking for centers.

    python -m experiments.projector --network=models/faces32.safetensors

The pictures are those of seeds 0, 1, ..., in 8 bits, as files have them; what is found is compared with them, its
centers with those that they were made with. Nothing of the search knows the seeds. Of each level is said, too, how
much of a picture hangs on one of its centers. The searches with and without centers are compared picture by picture:
after how many steps both have come as near as the one without centers comes at all. OUTDIR/results.json keeps what
was found of each picture, so the same command goes on where it was stopped; with fewer --pictures it says what there is
so far.
"""

from typing import Any

import click

from dnnlib.cli import PATH, Command, Int, option


@click.command(cls=Command, help=__doc__)
@option("--network", required=True, metavar="PATH", type=PATH, help="A model that is conditioned on layouts.")
@option("--pictures", type=Int(1, 1000), default=20, show_default=True, metavar="N", help="Seeds 0 to N - 1.")
@option("--space", type=click.Choice(["w", "w+"]), default="w+", show_default=True, help="As projector.py has it.")
@option("--num-steps", type=Int(1, 10_000), default=300, show_default=True, metavar="N", help="Of each search.")
@option("--outdir", default="projector", show_default=True, metavar="DIR", type=PATH, help="Folder for results.json.")
def main(**given: Any) -> None:
    from experiments.studies.projector import study

    study(**given)


if __name__ == "__main__":
    main()
