"""The metrics by name: what each takes, what a result records, and where results are kept.

A metric is a function (context, num) -> {quantity: number}, registered with `@metric(name, ...)`; the first line of
its docstring is what --list shows. A family of metrics has the number of its images in its name, as in fid50k_full:
`@family("is{n}", ...)` registers the usual number, and any other one is found by its name; `@comparison("fid{n}", ...)`
registers fid50k and fid50k_full.
"""

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Literal

from dnnlib.errors import UserError, as_user_error
from dnnlib.files import append_line
from dnnlib.parsing import nearest, shown, whole
from metrics.context import MetricContext
from metrics.extractors import Extractors
from training.config import RunConfig
from training.runs.snapshot import snapshot_name

__all__ = [
    "Metric",
    "MetricContext",
    "append_result",
    "check",
    "comparison",
    "evaluate",
    "family",
    "known",
    "metric",
]

VERSION = 1  # of the results; raised when a metric's definition changes

Values = dict[str, float]
Best = Literal["lowest", "highest", "nearest 0", "equilibrium"]
Refusal = Callable[[RunConfig], str | None]

SCORED = 64  # real and generated images that di and w compare at a time
EQUILIBRIUM = "nearer 0 is nearer the equilibrium of trained networks (untrained ones are near 0, too)"
MOST = 10_000_000  # images, draws or latents of a metric


@dataclass(frozen=True)
class Metric:
    """A registered metric; it takes `num` of `unit` ("draws") unless told otherwise (None: all there are).

    extractor: what it looks at pictures with, if anything. template: its name with {n} for the number, where any
    number may stand there. takes_pictures: whether it can be computed from files instead of a network. reals: it needs
    so many real images at least; 0: it looks at none. needs: the option of calc_metrics.py that names what it measures,
    where that is more than a network.
    uses_truncation_and_layout: --trunc and --layout apply to the pictures it looks at. best: which of its values.
    """

    name: str
    compute: Callable[[MetricContext, Any], Values]  # of a number; None where files are measured, all of them
    num: int | None
    unit: str
    refuse: Refusal
    extractor: str | None = None
    template: str | None = None
    uses_truncation_and_layout: bool = True
    best: Best = "lowest"
    takes_pictures: bool = False
    reals: int = 1
    needs: str | None = None

    def score_to_minimize(self, results: Values) -> float:
        """Its first quantity as a number that is the smaller, the better; NaN where it could not be measured."""
        value = next(iter(results.values()))
        return {"lowest": value, "highest": -value}.get(self.best, abs(value))

    @property
    def description(self) -> str:
        """One line: what it is, and which values are good."""
        return f"{(self.compute.__doc__ or '').strip().splitlines()[0]} {self.direction.capitalize()}."

    @property
    def direction(self) -> str:
        """Which values are good, in words."""
        simple = {"lowest": "lower is better", "highest": "higher is better", "nearest 0": "nearer 0 is better"}
        return simple.get(self.best, EQUILIBRIUM)

    @property
    def is_distributed(self) -> bool:
        """Whether all processes take part; other metrics are computed by the first one alone."""
        return self.extractor is not None

    def with_num(self, num: int | None) -> "Metric":
        """The same with another number; its name says so, unless it has no number, such as co_move."""
        template = self.template
        named = template is not None and (self.takes_pictures or self.name != template.format(n=""))
        return replace(self, num=num, name=template.format(n=_short(num)) if template and named else self.name)


_METRICS: dict[str, Metric] = {}


def metric(
    name: str,
    *,
    num: int,
    unit: str,
    refuse: Refusal = lambda config: None,
    extractor: str | None = None,
    uses_truncation_and_layout: bool = False,
    best: Best = "lowest",
    template: str | None = None,
    reals: int = 1,
    needs: str | None = None,
) -> Callable:
    """Register a function (context, num) -> {quantity: number}.

    `refuse(config)` says why the metric does not apply to such a model, or None when it does. For the rest see Metric.
    """

    def register(compute: Callable[[MetricContext, int], Values]) -> Callable[[MetricContext, int], Values]:
        _METRICS[name] = Metric(
            name, compute, num, unit, refuse, extractor, template, uses_truncation_and_layout, best,
            reals=reals, needs=needs,
        )  # fmt: skip
        return compute

    return register


def family(
    template: str, *, num: int, extractor: str, output: str, best: Best = "lowest", reals: int = 1
) -> Callable:
    """Register a function (context, num, extractor, output) -> {suffix: number} for each number {n} of images.

    The suffix "" is the metric's own value; others are joined to its name: pr50k3_precision.
    """

    def register(compute: Callable[[MetricContext, Any, str, str], Values]) -> Callable:
        @wraps(compute)
        def named(context: MetricContext, num: int | None) -> Values:
            name = template.format(n=_short(num))
            values = compute(context, num, extractor, output)
            return {f"{name}_{suffix}".rstrip("_"): value for suffix, value in values.items()}

        usual = template.format(n=_short(num))
        _METRICS[usual] = Metric(
            usual, named, num, "images", lambda config: None, extractor, template,
            best=best, takes_pictures=True, reals=reals,
        )  # fmt: skip
        return compute

    return register


def comparison(
    template: str, what: str, *, extractor: str, output: str, num: int = 50_000, at_most: int | None = None,
    best: Best = "lowest", reals: int = 2,
) -> Callable:  # fmt: skip
    """Register two families for (context, num, max_real, extractor, output) -> {suffix: number}: N generated images
    against N real ones, and, with "_full" behind the name, against all real ones (at most `at_most`). `what` is
    the quantity's name in --list.
    """
    all_reals = "all real ones" if at_most is None else f"all real ones (at most {at_most:,})"

    def register(compute: Callable[[MetricContext, int, int | None, str, str], Values]) -> Callable:
        def against_as_many(context: MetricContext, num: int, extractor: str, output: str) -> Values:
            return compute(context, num, num, extractor, output)

        def against_all(context: MetricContext, num: int, extractor: str, output: str) -> Values:
            return compute(context, num, at_most, extractor, output)

        against_as_many.__doc__ = f"{what}: N generated images against N real ones."
        against_all.__doc__ = f"{what}: N generated images against {all_reals}."
        common: dict[str, Any] = {"num": num, "extractor": extractor, "output": output, "best": best, "reals": reals}
        family(template, **common)(against_as_many)
        family(f"{template}_full", **common)(against_all)
        return compute

    return register


def known() -> dict[str, str]:
    """{name: one-line description} of every metric, in alphabetical order."""
    return {name: _METRICS[name].description for name in sorted(_METRICS)}


def find(name: str) -> Metric:
    """The metric called `name`. Raises UserError when there is none."""
    if name in _METRICS:
        return _METRICS[name]
    for each in _METRICS.values():
        found = each.template and re.fullmatch(each.template.format(n=r"([0-9]+k?)?"), name)
        if found:
            return replace(each.with_num(_number(found[1], name)), name=name)
    raise UserError(f"unknown metric '{shown(name)}'{nearest(name, _METRICS)}")


def check(names: Sequence[str], config: RunConfig | None = None, given: Sequence[str] = ()) -> None:
    """Raises UserError when a name is unknown or, given `config`, when a metric does not apply to such a model.

    given: options of calc_metrics.py, of those that a metric may need.
    """
    for name in names:
        found = find(name)
        reason = None if config is None else _objection(found, config, given)
        if reason is not None:
            raise UserError(f"metric '{name}' does not apply: {reason}; leave it out of --metrics")


def obstacles(names: Sequence[str], config: RunConfig, images: int) -> list[str]:
    """Why metrics will not be measured in a training on so many real images (mirrored ones counted), a line each."""
    group = min(config.discriminator.mbstd_group_size or 1, SCORED)
    found = [(name, find(name)) for name in names]
    few = [f"metric {name} is left out: it needs {each.reals} real images, there are {images}"
           for name, each in found if each.reals > images]  # fmt: skip
    odd = [f"metric {name} is left out: discriminator.mbstd_group_size {group} does not divide {SCORED}"
           for name, each in found if each.reals == SCORED <= images and SCORED % group]  # fmt: skip
    return few + odd


def check_num(names: Sequence[str], num: int | None) -> None:
    """Raises UserError when a metric's name says another number than `num`: the result would bear another name."""
    for name in names:
        found = find(name)
        if num is not None and found.template and name not in (found.template.format(n=_short(num)), _bare(found)):
            right = found.with_num(num).name
            raise UserError(f"--num={num}: '{name}' has its number in its name; write {right}, or leave --num out")


def extractors_of(names: Sequence[str]) -> set[str]:
    """The extractors that metrics need."""
    return {found.extractor for found in map(find, names) if found.extractor is not None}


def fetch_weights(names: Sequence[str], extractors: Extractors | None = None) -> None:
    """Download what metrics need and is not there. Raises UserError when that is impossible.

    Called before a training, so that it does not fail at its first snapshot.
    """
    for extractor in sorted(extractors_of(names)):
        (extractors or Extractors()).fetch(extractor)


def _objection(found: Metric, config: RunConfig, given: Sequence[str]) -> str | None:
    if found.needs is not None and found.needs not in given:
        return f"it measures what {found.needs} of calc_metrics.py names"
    if found.num is None:
        return f"a network makes any number of images, say how many, as in {found.with_num(50_000).name}"
    return found.refuse(config)


def evaluate(name: str, context: MetricContext) -> dict[str, Any]:
    """Compute a metric: {"metric", "results": {quantity: number}, ...}, with what it takes to repeat it.

    All processes of context.world call this together, and all get the result. Raises UserError when there is no such
    metric, or it does not apply to this model or data set.
    """
    found = find(name)
    if context.options.num is not None:
        found = found.with_num(context.options.num)
    if not context.compares_folders:
        check([found.name], context.model.config, context.options.given)
    elif not found.takes_pictures:
        raise UserError(f"metric '{name}' does not apply: it needs a network; leave it out of --metrics")
    context.record.clear()
    start = time.perf_counter()
    values = _values(found, context)
    return {
        "metric": found.name,
        "results": values,
        f"num_{found.unit}": len(context.pictures) if found.num is None else found.num,
        **(_of_pictures(context) if context.compares_folders else _of_network(context)),
        "data": context.dataset.name,
        "data_hash": context.dataset.content_hash(),
        "data_images": len(context.dataset),
        "mirror": context.dataset.mirror,
        "extractor": _extractor_of(found, context),
        **context.settings(),
        "seconds": round(time.perf_counter() - start, 3),
        "version": VERSION,
    }


def _values(found: Metric, context: MetricContext) -> Values:
    if found.is_distributed:
        return found.compute(context, found.num)
    return context.on_first_rank(lambda: _computed(found, context))


def _computed(found: Metric, context: MetricContext) -> Values:
    """What other processes wait for: they get to know of lack of memory or a lost file, too."""
    try:
        return found.compute(context, found.num)
    except (OSError, MemoryError, RuntimeError) as error:
        said = as_user_error(error)
        if said is None:
            raise
        raise said from error


def _of_network(context: MetricContext) -> dict[str, Any]:
    config, kimg = context.model.config, context.model.kimg
    return {"kimg": kimg, "snapshot": snapshot_name(kimg), "layout_prior": _layout_prior(config)}


def _of_pictures(context: MetricContext) -> dict[str, Any]:
    pictures = context.pictures
    return {"pictures": pictures.name, "pictures_hash": pictures.content_hash(), "covariance": "unbiased"}


def _extractor_of(found: Metric, context: MetricContext) -> dict[str, Any] | None:
    if found.extractor is None:
        return None
    if found.extractor == "lpips":
        return context.extractors.perceptual_distance(context.device).about
    return context.extractors.get(found.extractor, context.device).about


def append_result(run_dir: str | Path, result: dict[str, Any]) -> Path:
    """Add `result` as one line to metric-NAME.jsonl in `run_dir`, whole or not at all.

    Lines of several processes never mix. Raises UserError when the file cannot be written.
    """
    path = Path(run_dir) / f"metric-{result['metric']}.jsonl"
    try:
        append_line(path, to_json(result))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make room, or give access to it") from error
    return path


def to_json(result: dict[str, Any]) -> str:
    """One line of strict JSON: a number that could not be measured becomes null."""
    values = {key: value if math.isfinite(value) else None for key, value in result["results"].items()}
    return json.dumps(result | {"results": values}, allow_nan=False)


def _short(num: int | None) -> str:
    """A number as names have it: 50k for 50000, nothing for None."""
    if num is None:
        return ""
    return f"{num // 1000}k" if num % 1000 == 0 else str(num)


def _number(text: str | None, name: str) -> int | None:
    """50000 of "50k". Raises UserError for 0."""
    if text is None:
        return None
    factor = 1000 if text.endswith("k") else 1
    number = whole(text.removesuffix("k"), MOST // factor + 1, f"metric '{shown(name)}'") * factor
    if number == 0:
        raise UserError(f"metric '{name}' takes no image at all; give a number as in fid50k_full")
    return number


def _bare(found: Metric) -> str:
    """Its name without a number, such as co_move."""
    return "" if found.template is None else found.template.format(n="")


def _layout_prior(config: RunConfig) -> dict[str, Any] | None:
    encoding = config.generator.encoding
    return None if encoding is None else config.sampler.model_dump(mode="json") | {"counts": list(encoding.counts)}
