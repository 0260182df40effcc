"""Metrics at the snapshots of a training; nothing that goes wrong here ends it."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnlib.errors import UserError, as_user_error
from metrics.best import best_in_words, note_if_best
from metrics.context import EvaluatedNetwork, MetricContext, MetricOptions
from metrics.registry import append_result, evaluate
from torch_utils.agreement import RankFailed, together
from torch_utils.distributed import World

if TYPE_CHECKING:
    from training.loop import Run

METRIC_DRAWS = {"di": 10, "w": 10}  # in training; calc_metrics.py makes the full number


class TrainingMetrics:
    """The metrics of config.schedule, into metric-NAME.jsonl of the run directory; train.py hands it to the loop."""

    def measure(self, run: "Run") -> None:
        """All ranks call this together. A metric that fails on one of them is left out on all."""
        context = _context(run)
        for name in run.config.schedule.metrics:
            try:
                result = together(run.state.world, partial(_evaluate, name, context))
            except Exception as error:
                if run.state.world.size > 1 and not isinstance(error, RankFailed):
                    raise  # a process is gone
                run.log.say(f"metric {name} is left out: {as_user_error(error) or repr(error)}; training goes on")
                context = _context(run)  # what a rank has kept of it, another may lack
                continue
            if run.state.world.is_first:
                run.log.metric(run.state.images, name, result["results"])
                _keep(run, name, result)

    def best(self, run_dir: Path) -> str | None:
        return best_in_words(run_dir)


def _context(run: "Run") -> MetricContext:
    measured = EvaluatedNetwork(run.model(), run.state.networks.D)
    return MetricContext(measured, run.dataset, MetricOptions(seed=run.config.seed), run.state.world)


def _evaluate(name: str, context: MetricContext, world: World) -> dict[str, Any]:
    return evaluate(name, replace(context.with_num(METRIC_DRAWS.get(name)), world=world))


def _keep(run: "Run", name: str, result: dict[str, Any]) -> None:
    """Into metric-NAME.jsonl and, where it is the best yet, best.json."""
    try:
        append_result(run.run_dir, result)
        note_if_best(run.run_dir, name, run.config.schedule.metrics, result["results"], run.state.images)
    except Exception as error:
        reason = getattr(error, "strerror", None) or (error if isinstance(error, UserError) else repr(error))
        run.log.say(f"the result of {name} is not kept: {reason}")
