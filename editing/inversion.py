"""From pictures to what makes them: styles and, for models conditioned on layouts, centers and spreads.

    for step in invert(model, target): print(step.step, step.rms)
    model.images(ws=step.ws, layout=step.layout)            # what `python generate.py --latents --layout` shows, too

The start is the best of many random pictures; then Adam descends on a pyramid of pixels and on features, with a
learning rate that rises and falls, and with noise on the styles that fades (Karras et al. 2020, appendix D). Styles and
layout are found together, so that an object that stands elsewhere is moved instead of painted anew. The model's own
per-pixel noise stays as it is: what is found makes the same picture everywhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from dnnlib.errors import UserError
from training.layouts.layout import Layout
from training.sampling import Model

Space = Literal["w", "w+"]
Distance = Callable[[Tensor, Tensor], Tensor]  # images a, b [N, C, R, R] about [-1, 1] -> [N], differentiable


@dataclass(frozen=True)
class InversionOptions:
    """How pictures are looked for.

    space: one style for all layers, or one each. optimize_layout: whether centers and spreads are looked for, too;
    otherwise they stay those of the start. lr, layout_lr: Adam's, at their highest. candidates: random pictures that
    the start is the best of. pixel_weight, feature_weight: of the two parts of the loss. style_noise: in standard
    deviations of the styles, at the start.
    """

    space: Space = "w+"
    steps: int = 300
    optimize_layout: bool = True
    lr: float = 0.05
    layout_lr: float = 0.02
    candidates: int = 256
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    style_noise: float = 0.05
    seed: int = 0

    def __post_init__(self):
        """Raises UserError for an unknown space or a number out of range."""
        if self.space not in get_args(Space):
            raise UserError(f"unknown space '{self.space}'; use {' or '.join(get_args(Space))}")
        if self.steps < 1 or self.candidates < 1:
            raise UserError("steps and candidates must be 1 or more")


@dataclass(frozen=True)
class InversionStep:
    """Where a search is.

    step: 0 is the start. image [N, C, R, R], what ws [N, *w_shape] and layout make; loss [N]: what is
    minimized; rms [N]: root of the mean squared difference to the target.
    """

    step: int
    image: Tensor
    ws: Tensor
    layout: Layout | None
    loss: Tensor
    rms: Tensor


def invert(
    model: Model,
    target: Tensor,
    options: InversionOptions | None = None,
    distance: Distance | None = None,
    start: tuple[Tensor, Layout | None] | None = None,
) -> Iterator[InversionStep]:
    """Look for what makes the pictures target [N, C, R, R] in [-1, 1]; the last step is the best found of each.

    distance: the second part of the loss; None: features of random convolutions (editing/random_features.py). start:
    styles and layout to begin with instead of the best of many. The consumer stops by closing the iterator.

    Raises UserError, at once, when the pictures do not fit the model.
    """
    raise NotImplementedError
