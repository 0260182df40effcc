"""The first part of an inversion, for models of small pictures: what they can make with one style for all layers.

Every picture goes its own way. From several starts some Levenberg-Marquardt steps are taken; the best start goes on.
Where that is far, it takes more steps as long as they bring it nearer, then begins again from other starts; where it is
near, so that the model can make the picture, or where there are no more starts, centers are put elsewhere, level by
level (editing/blocks.py), until the difference is that of 8-bit pixels.
"""

from collections.abc import Callable, Iterator
from itertools import zip_longest

import torch
from torch import Tensor

from editing.blocks import search_block
from editing.candidates import Candidates
from editing.levenberg_marquardt import Coordinates, Pictures, Search
from training.layouts.layout import Layout, concatenate
from training.sampling import Model

STARTS = 4  # for each picture, at first and whenever it begins again
FIRST = 5  # steps from all starts
ROUND = 6  # steps between two looks at what a picture needs
REFRESH = 3  # steps between two calculations of derivatives
PROGRESS = 0.9  # of its rms, below which a picture is after a round in which it has come nearer
FOUND = 0.0024  # rms of a picture that has been found: 8-bit pixels alone leave 0.0023, wrong centers 0.0025 and more
AGAIN = 4  # times at most that a picture begins again
POSSIBLE = 0.1  # rms at which it is worth while to put centers elsewhere, rather than to begin again
FRUITLESS = 6  # rounds of that which bring nothing, after which there are no more
SMALL = 1 << 20  # numbers in a picture's derivatives; where there are more, all this takes too long


class Approach:
    """A search of N pictures; `steps` takes it further, `places` is where it is."""

    def __init__(self, model: Model, target: Tensor, candidates: Candidates, optimize_layout: bool):
        coordinates = Coordinates(candidates.ws, candidates.layout, optimize_layout)
        self.is_small = coordinates.count * target[0].numel() <= SMALL  # whether it takes no longer than what follows
        pictures = Pictures(model, coordinates)
        self.pictures = [_Picture(pictures, each[None], candidates) for each in target]

    @property
    def rms(self) -> Tensor:
        """Of each picture as it is shown, [N]."""
        return torch.cat([picture.best().squared.sqrt() for picture in self.pictures])

    def places(self) -> tuple[Tensor, Layout | None]:
        """Styles [N, *w_shape] and layout of each picture."""
        ws, layouts = zip(*(picture.best().places() for picture in self.pictures), strict=True)
        return torch.cat(ws), None if layouts[0] is None else concatenate(layouts)

    def steps(self) -> Iterator[None]:
        """Goes on by a step whenever it is asked for the next; ends where no picture is left that could come nearer."""
        for _ in zip_longest(*(picture.steps() for picture in self.pictures)):
            yield


class _Picture:
    """A search of one picture, target [1, C, R, R]."""

    search: Search  # from several starts at first, then one

    def __init__(self, pictures: Pictures, target: Tensor, candidates: Candidates):
        self.pictures, self.target, self.candidates = pictures, target, candidates
        self.coordinates = pictures.coordinates
        self.starts = min(STARTS, len(candidates.ws))
        self.begun = 0  # from how many candidates
        self.rounds = self.fruitless = 0  # in which centers were put elsewhere; the last of them, which brought nothing

    def steps(self) -> Iterator[None]:
        self.search = self._begin()
        yield
        yield from _first_steps(self.search)
        self.search, has_come_nearer = self.best(), True
        while (work := self._work(has_come_nearer)) is not None:
            before = self._rms()
            yield from work()
            has_come_nearer = self._rms() < PROGRESS * before

    def best(self) -> Search:
        """The best of the starts."""
        return self.search.only(self.search.squared.argmin()[None])

    def _rms(self) -> float:
        return self.search.squared.item() ** 0.5

    def _work(self, has_come_nearer: bool) -> Callable[[], Iterator[None]] | None:
        """What it does next; None where there is nothing left to do."""
        has_centers = self.coordinates.centers > 0
        is_far = self._rms() >= POSSIBLE and self.rounds == 0
        if self._rms() < FOUND:
            return None
        if has_come_nearer and (is_far or not has_centers):
            return self._descend
        if is_far and self.begun + self.starts <= min(len(self.candidates.ws), (1 + AGAIN) * STARTS):
            return self._begin_again
        return self._put_elsewhere if has_centers and self.fruitless < FRUITLESS else None

    def _descend(self) -> Iterator[None]:
        yield from _round(self.search)

    def _put_elsewhere(self) -> Iterator[None]:
        """Centers of the last level, or of the last two in turn."""
        last, before = len(self.coordinates.counts) - 1, self._rms()
        levels = [last] if self.rounds % 2 == 0 or last == 0 else [last - 1, last]
        yield from search_block(self.search, levels, seed=self.rounds)
        self.rounds += 1
        self.fruitless = 0 if self._rms() < PROGRESS * before else self.fruitless + 1

    def _begin_again(self) -> Iterator[None]:
        """From the starts that come next; where they lead counts where that is nearer."""
        fresh = self._begin()
        yield from _first_steps(fresh)
        fresh = fresh.only(fresh.squared.argmin()[None])
        yield from _round(fresh)
        if fresh.squared < self.search.squared:
            self.search = fresh

    def _begin(self) -> Search:
        """From those candidates that come next in likeness to the picture."""
        ws, layout = self.candidates.nearest(self.target, self.starts, self.begun)
        self.begun += self.starts
        target = self.target.repeat_interleave(self.starts, 0)
        return Search(self.pictures, target, self.coordinates.vectors(ws, layout), layout)


def _first_steps(search: Search) -> Iterator[None]:
    for number in range(FIRST):
        search.step(anew=number == 0 or number % 2 == 1)
        yield


def _round(search: Search) -> Iterator[None]:
    for number in range(ROUND):
        search.step(anew=number % REFRESH == 0)
        yield
