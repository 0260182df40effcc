"""How fast images are measured: extraction, generation, a whole FID, and the distances between features.

    python -m benchmarks.metrics --res 256 --images 64 --batch 16 --device cpu --json results.json
"""

from typing import TYPE_CHECKING, Any

import click

from benchmarks.choices import EXTRACTORS
from benchmarks.harness.command import benchmark
from dnnlib.cli import Int

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run


@benchmark()
@click.option("--res", type=Int(4, 4096), default=256, show_default=True, help="Side of the images.")
@click.option("--method", default="spatialgan", show_default=True, help="The method of the generator.")
@click.option("--cfg", default="paper256", show_default=True, help="Its base configuration.")
@click.option("--extractor", type=click.Choice(EXTRACTORS), default="inception", show_default=True,
              help="What looks at the images.")
@click.option("--images", type=Int(2, 100_000), default=64, show_default=True, help="How many are measured.")
@click.option("--batch", type=Int(1, 4096), default=16, show_default=True, help="Images a pass.")
@click.option("--neighbours", type=Int(5, 100_000), default=2000, show_default=True,
              help="Real and generated images whose neighbours are looked for.")
def main(run: "Run", **options: Any) -> "Findings":
    """Images per second of extraction, generation and a whole FID; seconds of the distances between features."""
    from benchmarks.measures.metrics import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
