"""Pictures a second by batch size, through training.sampling.Model.images, as all tools make them.

    python -m benchmarks.inference --res 256 --device cpu --method stylegan2 --batches 1,4,16
    python -m benchmarks.inference --res 256 --device cpu --method stylegan2 --ops auto --vs-ops reference
"""

from typing import TYPE_CHECKING, Any, get_args

import click

from benchmarks.harness.command import benchmark
from dnnlib.cli import Int
from training.choices import Precision

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run


@benchmark()
@click.option("--res", type=Int(4, 4096), default=256, show_default=True, help="Side of the images.")
@click.option("--method", default="spatialgan", show_default=True, help="The method of the generator.")
@click.option("--cfg", default="paper256", show_default=True, help="Its base configuration.")
@click.option("--batches", default="1,4,16", show_default=True, help="Pictures at a time.")
@click.option("--ops", default="auto", show_default=True,
              help="The operators: auto, native, direct, pytorch, reference.")
@click.option("--vs-ops", metavar="NAME", help="Those that they are compared with.")
@click.option("--precision", type=click.Choice(get_args(Precision)), default="trained", show_default=True,
              help="What the network computes in: as it is trained, or all layers in one type.")
def main(run: "Run", **options: Any) -> "Findings":
    """Measure how many pictures a second a generator makes, by batch size."""
    from benchmarks.measures.inference import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
