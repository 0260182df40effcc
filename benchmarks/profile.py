"""Where a training step's time goes: how fast each phase computes beside what the machine can do, and at what.

    python -m benchmarks.profile --res 256 --batch 4 --device cpu --method stylegan2
"""

from typing import TYPE_CHECKING, Any

import click

from benchmarks.harness.command import benchmark
from dnnlib.cli import Int

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run


@benchmark()
@click.option("--res", type=Int(4, 4096), default=256, show_default=True, help="Side of the images.")
@click.option("--batch", type=Int(1, 4096), default=4, show_default=True, help="Images a step.")
@click.option("--method", default="stylegan2", show_default=True, help="What is trained.")
@click.option("--ops", default="auto", show_default=True,
              help="Its operators: auto, native, direct, pytorch, reference.")
@click.option("--cfg", default="paper256", show_default=True, help="Its base configuration.")
def main(run: "Run", **options: Any) -> "Findings":
    """Show how fast each phase of a training step computes, beside the machine's best, and on what its time goes.

    Lazy regularizers count as often as they run; the moving average of the weights is left out.
    """
    from benchmarks.measures.profile import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
