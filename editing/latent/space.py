"""A model as what is edited: points in its Z or W, their pictures, and what a condition measures in these.

A model with heatmaps puts its objects where these are, whatever w is. In the space "w+layout" a latent is w followed by
the centers of all levels, x and y in turn, so that a method moves both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.words import counted
from editing.latent.conditions import Condition
from editing.latent.interface import Context, Points, index_of
from editing.latent.styles import check_mapped, check_range, drawn_seeds
from editing.observation import Observer
from training.layouts.layout import Layout
from training.sampling import Model

Space = Literal["w", "z", "w+layout"]


@dataclass(frozen=True)
class ModelSubject:
    """A model's Z or W, or W with the layout, and a condition.

    layers: (first, last) of num_ws, both included, that an edit in W changes; None: all. trunc: of random latents.
    label: the class of all pictures, or a row [1, c_dim], for models that have any.
    Raises UserError for a model with a code for each object, or without a W or heatmaps where these are asked for.
    """

    model: Model
    condition: Condition
    space: Space = "w"
    layers: tuple[int, int] | None = None
    trunc: float = 1.0
    label: int | Tensor | None = None
    batch: int = 64

    def __post_init__(self):
        if self.space not in get_args(Space):
            raise UserError(f"unknown space '{self.space}'; use {', '.join(get_args(Space))}")
        if len(self.model.G.w_shape) == 3:
            raise UserError("an image of this model has a latent for each object; one alone cannot be edited towards a "
                            "condition (sefa and ganspace find directions for all)")  # fmt: skip
        if self.space != "z":
            check_mapped(self.model)
        elif self.layers is not None:
            raise UserError("--layers are of space w; a z is that of all layers")
        if self.moves_layout and (not self.model.is_layout_conditioned or self.model.G.takes_layout_in_latent):
            raise UserError(f"space {self.space}: this model has no heatmaps whose centers could move; use w")
        check_range(self.layers, self.model.G.num_ws)

    @property
    def names(self) -> tuple[str, ...]:
        return self.condition.names

    @property
    def moves_layout(self) -> bool:
        return self.space == "w+layout"

    @property
    def width(self) -> int:
        """Numbers of a latent."""
        return self.draw(1, 0).values.shape[1]

    def index(self, name: str) -> int:
        """The number of an attribute. Raises UserError when there is none."""
        return index_of(self.names, name)

    def draw(self, count: int, seed: int) -> Points:
        return self.of_seeds(drawn_seeds(count, seed))

    def of_seeds(self, seeds: Sequence[int]) -> Points:
        """The pictures of these seeds, each with the layout that it has."""
        layout = self.model.layout(seeds)
        return self._points(self.model.latents(seeds), self._styles(seeds=seeds, layout=layout), layout)

    def of_latents(self, z: Tensor, layout: Layout | None) -> Points:
        """Pictures of latents z [N, z_dim]."""
        return self._points(z.to(self.model.device), self._styles(z=z, layout=layout), layout)

    def _points(self, z: Tensor, ws: Tensor, layout: Layout | None) -> Points:
        return self._at(z if self.space == "z" else ws[:, 0], ws, layout)

    def _at(self, values: Tensor, ws: Tensor, layout: Layout | None) -> Points:
        if self.moves_layout:
            assert layout is not None, "checked above"
            values = torch.cat([values, *(centers.flatten(1) for centers in layout.centers)], 1)
        return Points(values.clone(), Context(ws, values.clone(), layout))

    def of_styles(self, ws: Tensor, layout: Layout | None) -> Points:
        """Pictures of final styles ws [N, *w_shape], such as those of a projected one; their latent in W is the mean.

        Raises UserError in Z, where they have none.
        """
        if self.space == "z":
            raise UserError("final styles have no z; edit them in space w")
        return self._at(ws.mean(1), ws, layout)

    def styles(self, points: Points) -> Tensor:
        """ws [N, *w_shape]."""
        context = _context(points)
        if self.space == "z":
            return self._styles(z=points.values, layout=context.layout)
        first, last = check_range(self.layers, self.model.G.num_ws)
        moved = (points.values - context.origin)[:, None, : context.ws.shape[-1]]
        return torch.cat([context.ws[:, :first], context.ws[:, first : last + 1] + moved, context.ws[:, last + 1 :]], 1)

    def layout(self, points: Points) -> Layout | None:
        """Where things are; None for a model without layouts."""
        context = _context(points)
        if context.layout is None or not self.moves_layout:
            return context.layout
        counts = context.layout.counts
        parts = points.values[:, context.ws.shape[-1] :].unflatten(1, (-1, 2)).split(counts, 1)
        return replace(context.layout, centers=parts)

    def pictures(self, points: Points) -> Tensor:
        """[N, C, R, R] in about [-1, 1]."""
        return self.model.images(ws=self.styles(points), layout=self.layout(points), batch_size=self.batch)

    def measure(self, points: Points, with_gradients: bool = False) -> Tensor:
        """Conditions [N, C]. Raises UserError where the condition gives something else."""
        if with_gradients:
            ws, layout = self._styles_with_gradients(points), self.layout(points)
            return _checked(self.condition(Observer(self.model)(ws, layout).image), len(points), self.names)
        rows = torch.arange(len(points)).split(self.batch)
        parts = [self.condition(self.pictures(points[part.to(points.values.device)])) for part in rows]
        return _checked(torch.cat(parts).clone(), len(points), self.names)

    def _styles_with_gradients(self, points: Points) -> Tensor:
        if self.space != "z":
            return self.styles(points)
        labels = None if self.label is None else self._rows(self.label, len(points))
        return self.model.G.styles(points.values, labels, self.trunc, layout=_context(points).layout)

    def _rows(self, label: int | Tensor, count: int) -> Tensor:
        classes = self.model.config.generator.c_dim
        if isinstance(label, Tensor):
            return label.to(self.model.device).expand(count, classes).float()
        numbers = torch.full([count], label, device=self.model.device)
        return torch.nn.functional.one_hot(numbers, classes).float()

    def _styles(self, **which: Any) -> Tensor:
        return self.model.styles(**which, labels=self.label, truncation_psi=self.trunc)


def _context(points: Points) -> Context:
    assert points.context is not None, "points of a model have a context"
    return points.context


def _checked(found: Tensor, count: int, names: tuple[str, ...]) -> Tensor:
    """A condition's answer, float32. Raises UserError unless it is finite numbers [count, C]."""
    if list(found.shape) != [count, len(names)]:
        pictures, gives = counted(count, "picture"), list(found.shape)
        raise UserError(f"the condition gives {gives} numbers for {pictures}, not [{count}, {len(names)}]")
    if not found.isfinite().all():
        raise UserError("the condition is not a finite number for some pictures")
    return found.float()
