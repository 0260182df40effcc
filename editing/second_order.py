"""The first part of an inversion, for models of small pictures: what they can make with one style for all layers.

From several starts some Levenberg-Marquardt steps are taken; the best start of each picture goes on. Then every picture
does, round by round, what it needs: steps as long as they bring it nearer; where they do not, and it is far, it begins
again from other starts; where it is near, so that the model can make it, or there are no more starts, a center jumps
(editing/jumps.py).
"""

from collections.abc import Iterator
from itertools import zip_longest

import torch
from torch import Tensor

from editing.candidates import Candidates
from editing.jumps import TRIED, jump
from editing.levenberg_marquardt import Coordinates, Search
from training.layouts.layout import Layout
from training.sampling import Model

STARTS = 4  # for each picture, at first and whenever it begins again
FIRST = 5  # steps from all starts
ROUND = 6  # steps between two looks at what a picture needs
REFRESH = 3  # steps between two calculations of derivatives
PROGRESS = 0.9  # of its rms, below which a picture is after a round in which it has come nearer
FOUND = 0.003  # rms of a picture that has been found: 8-bit pixels alone leave 0.0023
AGAIN = 4  # times at most that pictures begin again
POSSIBLE = 0.1  # rms at which it is worth while to let centers jump, rather than to begin again
FRUITLESS = 5 * TRIED  # places for centers after which no more are tried
SMALL = 1 << 20  # numbers in a picture's derivatives; where there are more, all this takes too long


class Approach:
    """A search of N pictures; `steps` takes it further, `places` is where it is."""

    def __init__(self, model: Model, target: Tensor, candidates: Candidates, optimize_layout: bool):
        self.model, self.target, self.candidates = model, target, candidates
        self.coordinates = Coordinates(candidates.ws, candidates.layout, optimize_layout)
        self.starts = min(STARTS, len(candidates.ws))
        self.begun = 0  # from how many candidates each picture has begun
        self.passed = torch.zeros(len(target), dtype=torch.long, device=target.device)  # places that brought nothing

    @property
    def is_small(self) -> bool:
        """Whether it takes no longer than the rest of an inversion."""
        return self.coordinates.count * self.target[0].numel() <= SMALL

    def places(self) -> tuple[Tensor, Layout | None]:
        """Styles [N, *w_shape] and layout of the best start of each picture."""
        return _best(self.search, len(self.target)).places()

    def steps(self) -> Iterator[None]:
        """Goes on by a step whenever it is asked for the next; ends where no picture is left that could come nearer."""
        self.search = self._begin(self.target)
        yield
        yield from _first_steps(self.search)
        self.search = _best(self.search, len(self.target))
        has_come_nearer = torch.ones_like(self.search.squared, dtype=torch.bool)
        while work := self._work(has_come_nearer):
            rms = self.search.squared.sqrt()
            for _ in zip_longest(*work):  # they are of different pictures
                yield
            has_come_nearer = self.search.squared.sqrt() < PROGRESS * rms

    def _work(self, has_come_nearer: Tensor) -> list[Iterator[None]]:
        """What the pictures that have not been found do next."""
        rms = self.search.squared.sqrt()
        is_near = rms < POSSIBLE
        can_jump = (self.passed < FRUITLESS) & (self.coordinates.centers > 0)
        can_begin = self.begun + self.starts <= min(len(self.candidates.ws), (1 + AGAIN) * STARTS)
        needs = [
            (self._descend, has_come_nearer),
            (self._begin_again, ~has_come_nearer & ~is_near & can_begin),
            (self._jump, ~has_come_nearer & (is_near | (not can_begin)) & can_jump),
        ]
        chosen = [(does, (mask & (rms > FOUND)).nonzero()[:, 0]) for does, mask in needs]
        return [does(numbers) for does, numbers in chosen if len(numbers)]

    def _descend(self, chosen: Tensor) -> Iterator[None]:
        some = self.search.only(chosen)
        yield from _round(some)
        self.search.merge(chosen, some)

    def _jump(self, chosen: Tensor) -> Iterator[None]:
        some = self.search.only(chosen)
        some.step(anew=True)
        yield
        before = some.squared
        yield from jump(some, self.passed[chosen])
        is_nearer = some.squared < before
        self.passed[chosen] = torch.where(is_nearer, 0, self.passed[chosen] + TRIED)
        self.search.merge(chosen, some)

    def _begin_again(self, chosen: Tensor) -> Iterator[None]:
        """From the starts that come next; where they lead counts where that is nearer."""
        fresh = self._begin(self.target[chosen])
        yield from _first_steps(fresh)
        fresh = _best(fresh, len(chosen))
        yield from _round(fresh)
        is_nearer = fresh.squared < self.search.squared[chosen]
        self.search.merge(chosen[is_nearer], fresh.only(is_nearer.nonzero()[:, 0]))

    def _begin(self, target: Tensor) -> Search:
        """From those candidates that come next in likeness to the pictures."""
        ws, layout = self.candidates.nearest(target, self.starts, self.begun)
        self.begun += self.starts
        target = target.repeat_interleave(self.starts, 0)
        return Search(self.model, target, self.coordinates, self.coordinates.vectors(ws, layout), layout)


def _first_steps(search: Search) -> Iterator[None]:
    for number in range(FIRST):
        search.step(anew=number == 0 or number % 2 == 1)
        yield


def _round(search: Search) -> Iterator[None]:
    for number in range(ROUND):
        search.step(anew=number % REFRESH == 0)
        yield


def _best(search: Search, pictures: int) -> Search:
    """Of several starts of each picture the best."""
    squared = search.squared.unflatten(0, (pictures, -1))
    best = squared.argmin(1) + torch.arange(pictures, device=squared.device) * squared.shape[1]
    return search.only(best)
