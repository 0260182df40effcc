"""Metrics at the snapshots of a training; nothing that goes wrong here ends it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnlib.errors import UserError, as_user_error
from metrics.best import best_in_words, note_if_best
from metrics.context import EvaluatedNetwork, MetricContext, MetricOptions
from metrics.registry import append_result, evaluate

if TYPE_CHECKING:
    from training.loop import Run

METRIC_DRAWS = {"di": 10, "w": 10}  # in training; calc_metrics.py makes the full number


class TrainingMetrics:
    """The metrics of config.schedule, into metric-NAME.jsonl of the run directory; train.py hands it to the loop."""

    def measure(self, run: "Run") -> None:
        """All ranks call this together."""
        state, measured = run.state, EvaluatedNetwork(run.model(), run.state.networks.D)
        context = MetricContext(measured, run.dataset, MetricOptions(seed=run.config.seed), state.world)
        for name in run.config.schedule.metrics:
            try:
                result = evaluate(name, context.with_num(METRIC_DRAWS.get(name)))
            except Exception as error:
                if state.world.size > 1 and not isinstance(error, UserError):
                    raise  # the other ranks wait in the middle of it
                run.log.say(f"metric {name} is left out: {as_user_error(error) or repr(error)}; training goes on")
                continue
            if state.world.is_first:
                run.log.metric(state.images, name, result["results"])
                _keep(run, name, result)

    def best(self, run_dir: Path) -> str | None:
        return best_in_words(run_dir)


def _keep(run: "Run", name: str, result: dict[str, Any]) -> None:
    """Into metric-NAME.jsonl and, where it is the best yet, best.json."""
    try:
        append_result(run.run_dir, result)
        note_if_best(run.run_dir, name, run.config.schedule.metrics, result["results"], run.state.images)
    except (OSError, UserError) as error:
        run.log.say(f"the result of {name} is not kept: {getattr(error, 'strerror', None) or error}")
