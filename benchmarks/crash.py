"""What a run loses when it is killed: kill -9 at random moments, go on, and compare with a run that was left alone.

    python -m benchmarks.crash --kills 30

A small network trains on random pictures, with a checkpoint every few steps. Every third kill (--wait-every) waits for
a checkpoint that is half written. Every restart has to find a complete checkpoint; at the end nothing unfinished may be
left in the run directory, and the weights, moments and random streams have to be those of the undisturbed run, bit for
bit. Exit status 1 when one of that fails.
"""

from typing import TYPE_CHECKING, Any

import click

from benchmarks.harness.command import benchmark
from dnnlib.cli import SEED, Int, Number

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run


@benchmark(
    rounds=30,
    quick_rounds=3,
    rounds_option="--kills",
    rounds_help="How many crashes.",
    has_device=False,
    rate_apart=True,
    about=(__doc__ or "").replace("\n\n    python", "\n\n\b\n    python"),
)
@click.option("--steps-between", type=Int(1, 10_000), default=4, show_default=True,
              help="Steps from one checkpoint to the next.")
@click.option("--longest", type=Number(0.01, 3600), default=8.0, show_default=True,
              help="Seconds until a kill, at most.")
@click.option("--wait-every", type=Int(1), default=3, show_default=True, metavar="N",
              help="Every Nth kill waits until a checkpoint is half written; 1: all of them.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the moments.")
def main(run: "Run", **options: Any) -> "Findings":
    from benchmarks.measures.crash import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
