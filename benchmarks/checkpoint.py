"""How large a checkpoint is, how long it takes to write, and how long training stands still for it.

    python -m benchmarks.checkpoint --cfg paper256 --res 256 --device cpu
"""

from typing import TYPE_CHECKING, Any

import click

from benchmarks.harness.command import benchmark
from dnnlib.cli import FILE, Int

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run


@benchmark()
@click.option("--cfg", default="paper256", show_default=True, help="Base configuration.")
@click.option("--method", default="spatialgan", show_default=True, help="What is trained.")
@click.option("--res", type=Int(4, 4096), default=256, show_default=True, help="Side of the images.")
@click.option("--folder", type=FILE, metavar="FOLDER",
              help="Where to write.  [default: the temporary folder]")
def main(run: "Run", **options: Any) -> "Findings":
    """Size of a checkpoint, seconds to write it, seconds that training waits."""
    from benchmarks.measures.checkpoint import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
