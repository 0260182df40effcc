"""The first part of an inversion, for models of small pictures: what they can make with one style for all layers.

From several starts some Levenberg-Marquardt steps are taken; the best start of each picture goes on. Where that comes
near, so that the model can make this picture, and not yet to it, centers jump (editing/jumps.py).
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from editing.candidates import Candidates
from editing.jumps import jump
from editing.levenberg_marquardt import Coordinates, Search
from training.layouts.layout import Layout
from training.sampling import Model

STARTS = 4  # for each picture
FIRST = 5  # steps from all starts
THEN = 17  # steps from the best
REFRESH = 3  # steps between two calculations of derivatives
FOUND = 0.003  # rms of a picture that has been found: 8-bit pixels alone leave 0.0023
POSSIBLE = 0.06  # rms at which it is worth while to let centers jump
SMALL = 1 << 20  # numbers in a picture's derivatives; where there are more, all this takes too long


class Approach:
    """A search of N pictures; `steps` takes it further, `places` is where it is."""

    def __init__(self, model: Model, target: Tensor, candidates: Candidates, optimize_layout: bool):
        self.model, self.target, self.candidates = model, target, candidates
        self.coordinates = Coordinates(candidates.ws, candidates.layout, optimize_layout)
        self.starts = min(STARTS, len(candidates.ws))

    @property
    def is_small(self) -> bool:
        """Whether it takes no longer than the rest of an inversion."""
        return self.coordinates.count * self.target[0].numel() <= SMALL

    def places(self) -> tuple[Tensor, Layout | None]:
        """Styles [N, *w_shape] and layout of the best start of each picture."""
        return self.search.only(self._best()).places()

    def steps(self) -> Iterator[None]:
        """Goes on by a step whenever it is asked for the next; ends where no picture is left that could come nearer."""
        self.search = self._begin()
        yield
        for number in range(FIRST):
            self.search.step(anew=number == 0 or number % 2 == 1)
            yield
        self.search, self.starts = self.search.only(self._best()), 1
        for number in range(THEN):
            self.search.step(anew=number % REFRESH == 0)
            yield
        yield from self._jumps()

    def _jumps(self) -> Iterator[None]:
        while self.coordinates.centers > 0:
            rms = self.search.squared.sqrt()
            chosen = ((rms > FOUND) & (rms < POSSIBLE)).nonzero()[:, 0]
            if len(chosen) == 0:
                return
            some = self.search.only(chosen)
            some.step(anew=True)
            yield
            yield from jump(some)
            self.search.merge(chosen, some)

    def _begin(self) -> Search:
        ws, layout = self.candidates.nearest(self.target, self.starts)
        target = self.target.repeat_interleave(self.starts, 0)
        return Search(self.model, target, self.coordinates, self.coordinates.vectors(ws, layout), layout)

    def _best(self) -> Tensor:
        """Numbers of the best start of each picture, [N]."""
        best = self.search.squared.unflatten(0, (-1, self.starts)).argmin(1)
        return best + torch.arange(len(best), device=best.device) * self.starts
