"""What each operator costs, in each of its versions, beside what the machine can do.

    python -m benchmarks.ops --device cpu --json ops.json
"""

from typing import TYPE_CHECKING, Any

import click

from benchmarks.choices import DTYPES
from benchmarks.harness.command import benchmark
from dnnlib.cli import Int

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run


@benchmark()
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True, help="Of the images.")
@click.option("--batch", type=Int(1, 4096), default=4, show_default=True, help="Images at a time.")
@click.option("--nhwc", type=bool, metavar="BOOL", help="Channels last.  [default: on the CPU]")
def main(run: "Run", **options: Any) -> "Findings":
    """Time each operator, forward and with its gradients: native, PyTorch's version, and the plain reference."""
    from benchmarks.measures.ops import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
