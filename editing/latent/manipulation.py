"""A method of editing in the form that the metric mds takes: attributes edited one at a time, scored from 0 to 1.

An attribute's score is the logistic function of its distance from the median, four per standard deviation, so that 0.25
and 0.75, between which it is on no clear side, are half a deviation apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.latent.conditions import Condition, make_condition
from editing.latent.interface import Context, Method, Pairs, Points, deviations_of, draw_pairs, toward
from editing.latent.methods import check_method, fitted_words, make_method, space_of
from editing.latent.space import ModelSubject
from editing.latent.styles import SEEDS_EACH, drawn_seeds
from editing.latent.walking import WalkOptions
from training.config import RunConfig
from training.layouts.layout import concatenate
from training.sampling import Model
from training.scenes.procedural import KINDS

STEEPNESS = 4.0
CLEAR = 0.25  # a start's score is below this, or above 1 - this
TOLERANCE = 0.25  # of a target, in standard deviations
SAMPLES = 10_000  # pairs that methods are fitted to
STRENGTHS = 25  # steps of a curve
ROUNDS = 100  # that the seeds of evaluation are used, each time others of them
EVALUATION = 500  # seeds of draws from here on are for starts, so that no method was fitted to them
TRIES = 50  # batches of random latents among which clear starts are looked for


@dataclass(frozen=True)
class Scale:
    """How conditions [N, C] become scores: their medians and deviations [C], and the means of the halves [C]."""

    median: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, conditions: Tensor) -> "Scale":
        median = conditions.median(0).values
        below = conditions <= median
        halves = [(conditions * half).sum(0) / half.sum(0).clamp_min(1) for half in (below, ~below)]
        return cls(median, deviations_of(conditions), *halves)

    def scores(self, conditions: Tensor) -> Tensor:
        """[N, C] in [0, 1]."""
        return torch.sigmoid(STEEPNESS * (conditions - self.median) / self.deviation)


class Manipulation:
    """See metrics/mds. Each picture is edited to the mean of the other half of its attribute."""

    def __init__(self, method: Method, subject: ModelSubject, pairs: Pairs, edited: Sequence[int] = ()):
        self.method, self.subject, self.scale = method, subject, Scale.of(pairs.conditions)
        self.names, self.edited = subject.names, tuple(edited) or tuple(range(len(subject.names)))
        self.about = {"method": method.name}

    def scores(self, attribute: int, count: int, seed: int) -> list[Tensor]:
        points, condition = self.starts(attribute, count, seed)
        goal = torch.where(
            condition[:, attribute] > self.scale.median[attribute],
            self.scale.low[attribute],
            self.scale.high[attribute],
        )
        target = toward(condition, {attribute: goal}, TOLERANCE * self.scale.deviation)
        found = []
        for step in self.method.path(points, target):
            seen = self.subject.measure(points.at(step.values)) if step.condition is None else step.condition
            found.append(self.scale.scores(seen))
        return found

    def starts(self, attribute: int, count: int, seed: int) -> tuple[Points, Tensor]:
        """The first `count` random points whose attribute is clearly on one side, and their conditions.

        Raises UserError when there are too few among many.
        """
        found: list[Points] = []
        measured: list[Tensor] = []
        for part in range(TRIES):
            points = self.subject.of_seeds(evaluation_seeds(2 * count, seed, part))
            condition = self.subject.measure(points)
            score = self.scale.scores(condition)[:, attribute]
            rows = torch.nonzero((score < CLEAR) | (score > 1 - CLEAR))[: count - sum(map(len, found)), 0]
            if len(rows):
                found.append(points[rows])
                measured.append(condition[rows])
            if sum(map(len, found)) == count:
                return joined(found), torch.cat(measured)
        raise UserError(f"fewer than {count} of {2 * count * TRIES} pictures are clear about '{self.names[attribute]}'")


def evaluation_seeds(count: int, seed: int, part: int) -> list[int]:
    """Of one of TRIES draws of starts: none of a method's own, and for every `seed` up to 1000 others."""
    number = seed * TRIES + part
    first, *_ = drawn_seeds(1, EVALUATION + number % EVALUATION)
    first += number // EVALUATION % ROUNDS * (SEEDS_EACH // ROUNDS)
    return list(range(first, first + count))


def joined(parts: Sequence[Points]) -> Points:
    """Points of several draws of one subject as one."""
    values = torch.cat([part.values for part in parts])
    contexts = [part.context for part in parts if part.context is not None and len(part)]
    if not contexts:
        return Points(values)
    layouts = [context.layout for context in contexts if context.layout is not None]
    layout = concatenate(layouts) if layouts else None
    return Points(values, Context(torch.cat([c.ws for c in contexts]), torch.cat([c.origin for c in contexts]), layout))


@dataclass(frozen=True)
class Manipulate:
    """What calc_metrics.py was asked to measure; called with a model, it fits (or loads) and gives the Manipulation.

    conditions: in the words of --condition; (): see meant_condition. attributes: (): all. seed: of the fit.
    """

    method: str
    conditions: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    samples: int = SAMPLES
    seed: int = 0

    def checked(self) -> "Manipulate":
        """Itself. Raises UserError when there is no such method."""
        check_method(self.method)
        return self

    def __call__(self, model: Model) -> Manipulation:
        words, condition = meant_condition(self.conditions, self.method, model)
        if len(condition.names) < 2:
            raise UserError(f"mds looks at what else changes, but the condition measures '{condition.names[0]}' alone; "
                            "name another --condition, too")  # fmt: skip
        subject = ModelSubject(model, condition, space_of(self.method), label=first_label(model))
        edited = [subject.index(name) for name in self.attributes]
        pairs = draw_pairs(subject, self.samples, self.seed % EVALUATION)
        pairs.check_varies(edited or range(len(subject.names)), subject.names)
        walk = WalkOptions(max_steps=STRENGTHS, patience=STRENGTHS + 1)
        method = make_method(self.method, subject, pairs, walk, stops=False)
        found = Manipulation(method, getattr(method, "subject", subject), pairs, edited)
        found.about |= {"condition": " ".join(words), "samples": str(self.samples)}
        return found


def example_of(model: Model) -> Tensor:
    """A picture [1, C, R, R] of the model, for a condition to be tried with."""
    return model.images([0], labels=first_label(model)).clone()


def first_label(model: Model) -> int | None:
    """The class that pictures of a model with classes have here."""
    return 0 if model.config.generator.c_dim else None


def meant_condition(given: tuple[str, ...], method: str, model: Model) -> tuple[tuple[str, ...], Condition]:
    """A condition with its words, as --condition has them: the given one; else that which the method's file was fitted
    to; else, by the data, that of default_condition.

    Raises UserError where it cannot be had.
    """
    fitted = () if given else fitted_words(method)
    if fitted:
        return fitted, fitted_condition(method, fitted, model)
    words = given or default_condition(model.config)
    return words, make_condition(words, example_of(model))


def fitted_condition(path: str, words: Sequence[str], model: Model) -> Condition:
    """That which the file of a field names. Raises UserError, which names both, where it cannot be had."""
    try:
        return make_condition(words, example_of(model))
    except UserError as error:
        raise UserError(f"{path} was fitted to a condition that is not to be had: {error}") from error


def default_condition(config: RunConfig) -> tuple[str, ...]:
    """Scene attributes of the toy data that a model was trained on. Raises UserError where it was something else."""
    name = config.data.path.replace("\\", "/").rpartition("/")[2]
    kinds = [kind for kind in KINDS if kind in name]
    if not kinds:
        raise UserError(f"no toy scenes are known for {name}; say with --condition what scores pictures")
    return (f"scene:{max(kinds, key=len)}",)
