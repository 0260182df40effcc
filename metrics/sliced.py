"""MIND: sliced Wasserstein distance of two sets of features, for sample sizes at which Fréchet distances are biased.

After arXiv 2605.06797, which compares 5,000 samples where a Fréchet distance takes 50,000. That paper's text was not at
hand when this was written: what is sliced how is fixed here, and numbers are to be compared with numbers of this code
only. For sets X [n, F] and Y [m, F], and DIRECTIONS unit vectors u drawn once and for all from the sphere,

    MIND = sqrt( mean over u of  integral over q in [0, 1] of (Q_X.u(q) - Q_Y.u(q))^2 ),

where Q is the quantile function of a set's projections: the 2-Wasserstein distance along each direction, exact also
for sets of different sizes. It has the unit of a feature, is 0 for the same set twice, and of a shift by d is
|d| / sqrt(F).
"""

import torch
from torch import Tensor

from dnnlib.errors import UserError
from metrics.features import generated_features, real_features
from metrics.registry import MetricContext, Values, comparison

DIRECTIONS, AT_ONCE = 1024, 128
SEED = 2605  # of the directions
SAMPLES = 5000


@comparison("mind{n}", "Sliced Wasserstein distance (MIND)", extractor="inception", output="2048", num=SAMPLES)
@comparison("dmind{n}", "Sliced Wasserstein distance (MIND) on DINOv2 features", extractor="dinov2", output="cls",
            num=SAMPLES)  # fmt: skip
@comparison("rmind{n}", "Sliced Wasserstein distance (MIND) on random features", extractor="random", output="pooled",
            num=SAMPLES)  # fmt: skip
def mind(context: MetricContext, num: int, max_real: int | None, extractor: str, output: str) -> Values:
    """Of `num` generated images to `max_real` real ones, or all."""
    fake = generated_features(context, extractor, num)[output]
    real = real_features(context, extractor, max_real)[output]
    return context.on_first_rank(lambda: {"": sliced_distance(fake, real)})


def sliced_distance(a: Tensor, b: Tensor, directions: int = DIRECTIONS) -> float:
    """Of features [n, F] and [m, F], in float64 on the CPU. Raises UserError for a set of fewer than 2 images."""
    if min(len(a), len(b)) < 2:
        raise UserError("1 image is no distribution; MIND needs at least 2 images in each set")
    a, b = a.cpu().double(), b.cpu().double()
    stream = torch.Generator().manual_seed(SEED)
    ways = torch.nn.functional.normalize(torch.randn([directions, a.shape[1]], generator=stream, dtype=a.dtype), dim=1)
    first, second, widths = _common_quantiles(len(a), len(b))
    total = a.new_zeros([])
    for some in ways.split(AT_ONCE):
        x, y = ((features @ some.T).sort(0).values for features in (a, b))
        total += (widths @ (x[first] - y[second]).square()).sum()
    return (total / directions).sqrt().item()


def _common_quantiles(n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pieces of [0, 1] on which two quantile functions are constant: their indices in each, and their widths."""
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()  # in units of 1 / (n m)
    widths = ends.diff(prepend=torch.zeros(1, dtype=ends.dtype))
    starts = ends - widths
    return starts // m, starts // n, widths.double() / (n * m)
