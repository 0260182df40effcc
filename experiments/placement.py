"""How far can objects follow their centres? What a generator scores whose objects lie where those of the data do.

    python -m experiments.placement --data=data/balls32.zip --sampler=released
    python -m experiments.placement --data=data/balls32.zip --sampler=uniform --margin=0.5

D accepts objects only where real pictures have them. So a generator that has learnt everything maps the places of
centres to those of objects, in their order along each axis: the k-th leftmost of a thousand centres to the k-th
leftmost of a thousand objects. Where the two are spread differently, such a map stretches some moves and shortens
others. This prints what `centroid_co_move` finds for it. The data needs ground truth (`dataset_tool.py
toy` or `compose`) and one object a picture.
"""

from typing import get_args

import click
import numpy as np

from dnnlib.cli import PATH, Command, Number
from dnnlib.errors import UserError
from training.choices import SamplerKind

STEP = 0.3  # of metrics/centroid_co_move.py
DRAWS = 100_000


def follow(centers: np.ndarray, objects: np.ndarray, starts: np.ndarray) -> float:
    """Mean ratio of the objects' moves to those of STEP that their centres make, in the four directions.

    centers [N, 2] and objects [M, 2]: samples of where they are; starts [K, 2]: centres before the moves.
    """
    ratios = []
    for axis in range(2):
        of_centers, of_objects, start = centers[:, axis], objects[:, axis], starts[:, axis]
        before = in_their_order(start, of_centers, of_objects)
        ratios += [(in_their_order(start + step, of_centers, of_objects) - before) / step for step in (STEP, -STEP)]
    return float(np.mean(ratios))


def in_their_order(at: np.ndarray, centers: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Where along one axis the object of a centre at `at` is: the same share of objects left of it as of centres."""
    order, shares = np.sort(centers), (np.arange(len(objects)) + 0.5) / len(objects)
    left, right = np.searchsorted(order, at, "left"), np.searchsorted(order, at, "right")
    return np.interp((left + right) / 2 / len(centers), shares, np.sort(objects))


def places_of_objects(data: str) -> np.ndarray:
    """[M, 2], in layout coordinates. Raises UserError for data without ground truth, or with several objects."""
    from training.data.dataset import ImageDataset  # brings torch, which takes seconds

    scenes = ImageDataset(data).scenes.values()
    try:
        found = [[thing["center"] for thing in scene["objects"]] for scene in scenes]
        places = np.array([only for (only,) in found], dtype=np.float64).reshape(-1, 2)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{data}: its ground truth does not have one object in each picture") from error
    if not len(places):
        raise UserError(f"{data} has no ground truth; make it by dataset_tool.py toy or compose")
    return places


@click.command(cls=Command, help=__doc__)
@click.option("--data", required=True, metavar="PATH", type=PATH, help="Images with ground truth, one object each.")
@click.option("--sampler", type=click.Choice(get_args(SamplerKind)), default="released", show_default=True,
              help="How centres are drawn.")
@click.option("--margin", type=Number(0, 0.99), default=0.0, show_default=True, help="The sampler's, for uniform.")
def main(data: str, sampler: str, margin: float) -> None:
    import torch

    from training.config import SamplerConfig
    from training.layouts.samplers import sample_layout

    objects = places_of_objects(data)
    settings, stream = SamplerConfig(kind=sampler, margin=margin), torch.Generator().manual_seed(0)
    counts = (1,) if sampler == "multi-object" else (1, 2, 4)
    drawn = sample_layout(DRAWS, settings, stream, counts)
    centers = drawn.centers[0][:, 0].double().numpy()
    from_centre, from_prior = (follow(centers, objects, each) for each in (np.zeros([1, 2]), centers))
    click.echo(f"{len(objects)} objects, of a deviation of {objects.std():.3f}; centres: {centers.std():.3f}")
    click.echo(f"from_centre {from_centre:.2f}  from_prior {from_prior:.2f}")


if __name__ == "__main__":
    main()
