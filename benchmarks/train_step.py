"""What a method's training step costs against another's: seconds of each phase, and the ratio per image shown.

    python -m benchmarks.train_step --res 256 --batch 4 --device cpu --method spatialgan --vs stylegan2
    python -m benchmarks.train_step --res 256 --batch 4 --device cpu --method stylegan2 --vs-ops reference
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
@click.option("--method", default="spatialgan", show_default=True, help="The method in question.")
@click.option("--vs", metavar="NAME",
              help="The method it is compared with.  [default: stylegan2, or with --vs-ops the same]")
@click.option("--ops", default="auto", show_default=True,
              help="The method's operators: auto, native, direct, pytorch, reference.")
@click.option("--vs-ops", metavar="NAME", help="Those of what it is compared with.  [default: the same]")
@click.option("--cfg", default="paper256", show_default=True, help="Base configuration of both.")
def main(run: "Run", **options: Any) -> "Findings":
    """Time each phase of a training step for two methods, and their ratio per image shown.

    Lazy regularizers count as often as they run; the moving average of the weights is left out.
    """
    from benchmarks.measures.train_step import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
