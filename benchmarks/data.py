"""How fast images are read, and how long training waits for them.

    python -m benchmarks.data --json data.json
"""

from typing import TYPE_CHECKING, Any

import click

from benchmarks.choices import MOST_WORKERS, READ_BATCH
from benchmarks.harness.command import benchmark
from dnnlib.cli import Int

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run


@benchmark()
@click.option("--images", type=Int(READ_BATCH, 1_000_000), default=256, show_default=True,
              help="Images of 256x256 in the data set, and read in a round with each number of workers.")
@click.option("--workers", default="0,1,2", show_default=True, metavar="N,...", help="Numbers of workers to read with.")
@click.option("--cfg", default="demo,paper256", show_default=True, help="Settings to wait in; none: skip.")
@click.option("--steps", type=Int(1, 100_000), help="Steps a round.  [default: demo 16, paper256 2]")
@click.option("--method", default="spatialgan", show_default=True, help="What is trained.")
@click.option("--train-workers", type=Int(0, MOST_WORKERS), metavar="N",
              help="Workers in training.  [default: the configuration's]")
def main(run: "Run", **options: Any) -> "Findings":
    """Images read per second, and the share of a training step spent waiting for them.

    paper256 takes 4 images a step here instead of 64, which a CPU would be minutes over; both the time of a step and
    that of reading its images grow with their number, so the share is that of 64.
    """
    from benchmarks.measures.data import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
