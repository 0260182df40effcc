"""Points dragged by styles alone, and by heatmap centers too: how near, in how many steps, in what time.

    python -m benchmarks.drag --network models/smileys64.safetensors
"""

from typing import TYPE_CHECKING, Any

import click

from benchmarks.harness.command import benchmark
from dnnlib.cli import Int, Number

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run

DRAGS, QUICK_DRAGS = 50, 3
SHARE = 0.2  # of the image's size


@benchmark(DRAGS, QUICK_DRAGS, "--drags", "How many; each is a round of all modes.")
@click.option("--network", default="models/smileys64.safetensors", show_default=True, help="Whose pictures.")
@click.option("--share", type=Number(0.01, 0.4), default=SHARE, show_default=True, help="How far, of the image's size.")
@click.option("--anywhere", is_flag=True, help="Targets that take the object out of the picture, too.")
@click.option("--max-steps", type=Int(1, 10_000), default=200, show_default=True, help="Gradient steps.")
def main(run: "Run", **options: Any) -> "Findings":
    """Measure dragging by heatmaps and styles against dragging by styles alone."""
    from benchmarks.measures.drag import answer

    return answer(run, **options)


if __name__ == "__main__":
    main()
