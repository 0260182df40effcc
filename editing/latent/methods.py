"""The methods by name, fitted to a subject, and fitted ones from files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, shown
from editing.latent.field_files import is_field, load_field
from editing.latent.ganspace import ganspace
from editing.latent.interface import Method, Pairs
from editing.latent.interfacegan import InterFaceGan, InterFaceOptions
from editing.latent.linear import Linear, LinearOptions, matched
from editing.latent.optimization import Optimization, OptimizationOptions
from editing.latent.sefa import sefa
from editing.latent.sgf import Sgf, SgfOptions
from editing.latent.space import ModelSubject, Space
from editing.latent.walking import WalkOptions
from training.latent.directions import Directions, load_directions, say_origin

Fit = Callable[[ModelSubject, Pairs, WalkOptions, bool], Method]


def _sgf(subject: ModelSubject, pairs: Pairs, walk: WalkOptions, stops: bool) -> Method:
    return Sgf.fit(subject, pairs, SgfOptions(walk=walk))


def _fast(subject: ModelSubject, pairs: Pairs, walk: WalkOptions, stops: bool) -> Method:
    return Sgf.fit(subject, pairs, SgfOptions(walk=walk, fast=True))


def _interfacegan(subject: ModelSubject, pairs: Pairs, walk: WalkOptions, stops: bool) -> Method:
    return InterFaceGan.fit(subject, pairs, InterFaceOptions(linear=LinearOptions(walk=walk, stops=stops)))


def _conditional(subject: ModelSubject, pairs: Pairs, walk: WalkOptions, stops: bool) -> Method:
    linear = LinearOptions(walk=walk, stops=stops)
    return InterFaceGan.fit(subject, pairs, InterFaceOptions(conditional=True, linear=linear))


def _ganspace(subject: ModelSubject, pairs: Pairs, walk: WalkOptions, stops: bool) -> Method:
    return along(ganspace(subject.model, layers=subject.layers), subject, pairs, walk, stops)


def _sefa(subject: ModelSubject, pairs: Pairs, walk: WalkOptions, stops: bool) -> Method:
    return along(sefa(subject.model, layers=subject.layers), subject, pairs, walk, stops)


def _optimization(subject: ModelSubject, pairs: Pairs, walk: WalkOptions, stops: bool) -> Method:
    return Optimization.fit(subject, pairs, OptimizationOptions(walk=walk))


METHODS: dict[str, Fit] = {
    "sgf": _sgf,
    "sgf-fast": _fast,
    "interfacegan": _interfacegan,
    "interfacegan-conditional": _conditional,
    "ganspace": _ganspace,
    "sefa": _sefa,
    "optimization": _optimization,
}


def check_method(name: str) -> None:
    """Raises UserError unless it is the name of a method, or a file."""
    if name not in METHODS and not Path(name).is_file():
        raise UserError(f"--method '{shown(name)}': no such file, and no such method{nearest(name, METHODS)}")


def make_method(name: str, subject: ModelSubject, pairs: Pairs, walk: WalkOptions, stops: bool = True) -> Method:
    """A method by its name, fitted to pairs, or a fitted one from a file.

    stops: whether straight ways end at the target. Raises UserError when there is none, or it does not fit.
    """
    check_method(name)
    if name in METHODS:
        return METHODS[name](subject, pairs, walk, stops)
    if is_field(name):
        field = load_field(name, pairs.values.device)
        if field.about.space != subject.space:
            raise UserError(f"{name}: a field in {field.about.space}, not in {subject.space}; leave --space out")
        say_origin(name, field.about.network, subject.model.config.name)
        subject = replace(subject, layers=field.about.layers)
        return field.of(subject, pairs.values.shape[1], SgfOptions(walk=walk))
    directions = load_directions(name).fitted(subject.model.G.w_shape, name)
    say_origin(name, directions.network, subject.model.config.name)
    _check_w(directions, subject)
    return along(directions, replace(subject, layers=directions.layers), pairs, walk, stops)


def _check_w(directions: Directions, subject: ModelSubject) -> None:
    if subject.space != "w":
        raise UserError(f"{directions.method} has directions in w; there are none in {subject.space}")


def fitted_words(name: str) -> tuple[str, ...]:
    """The condition, in the words of --condition, that a file of a field was fitted to; () for all else."""
    return load_field(name).about.conditions if name not in METHODS and is_field(name) else ()


def space_of(name: str) -> Space:
    """Where a method moves latents: w, but for fields that were fitted in another space."""
    return load_field(name).about.space if name not in METHODS and is_field(name) else "w"


def along(
    directions: Directions, subject: ModelSubject, pairs: Pairs, walk: WalkOptions | None = None, stops: bool = True
) -> Linear:
    """Directions as a method: by the attributes' names where they have these, else those that go with attributes best.

    Raises UserError in Z: a direction is of W.
    """
    _check_w(directions, subject)
    if set(subject.names) <= set(directions.names):
        rows = [directions.names.index(name) for name in subject.names]
        ways = (directions.vectors * directions.deviations[:, None])[rows].to(pairs.values)
    else:
        ways = matched(directions, pairs)[0]
    options = LinearOptions(walk=walk or WalkOptions(), stops=stops)
    return Linear(subject, ways, directions.method, options)
