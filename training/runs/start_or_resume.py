"""How a run begins, or goes on: from its newest checkpoint that is whole, never from 0 where it has been further."""

from collections.abc import Sequence
from pathlib import Path

from dnnlib.errors import UserError
from dnnlib.files import write_json
from torch_utils.distributed import World
from torch_utils.tensor_files import open_tensors
from training.config import RunConfig
from training.data import identity as data_identity
from training.data.dataset import ImageDataset
from training.runs import directory as run_dir
from training.runs import readme, resume_option
from training.runs.checkpoint import BEST, best_record, checkpoints, refuse
from training.runs.snapshot import snapshots
from training.runs.validation import SPARE_ELEMENTS, below, check_limits, elements_of
from training.state import TrainingState


def open_state(config: RunConfig, place: Path, world: World) -> tuple[TrainingState, Path | None]:
    """The state that training goes on from, and the checkpoint in `place` that it is from; None for a new run.

    A new run takes what config.resume names. A checkpoint that cannot be read is passed over for the one before, with
    a remark in the state. Raises UserError when none can be read; nothing has been written then.
    """
    found = world.share(checkpoints(place))
    if not found:
        world.first(lambda: _check_is_new(place))
        state = TrainingState.create(config, world)
        if config.resume is not None and resume_option.source_kind(config.resume) is resume_option.Kind.CHECKPOINT:
            state.load(Path(config.resume))
        return state, None
    state = TrainingState.create(config, world, within=world.first(lambda: _most_numbers(config, place, found)))
    path = world.first(lambda: _load_newest(state, place, found))
    if not world.is_first:
        state.load(path)
    return state, path


def write_first_files(config: RunConfig, place: Path, argv: Sequence[str], dataset: ImageDataset) -> list[str]:
    """Write config.json, README.txt and data.json; returns remarks for the log on what was found.

    Raises UserError when they cannot be written.
    """
    remarks = []
    if (place / run_dir.CONFIG).exists() and run_dir.is_damaged(place):
        remarks.append(f"{run_dir.CONFIG} was damaged; it is restored from the newest checkpoint")
    try:
        best_record(place)
    except UserError as error:
        remarks.append(f"{error}; {BEST} is left aside")
    try:
        write_json(place / run_dir.CONFIG, config.model_dump(mode="json"))
        readme.write(config, argv, place)
        remarks += filter(None, [data_identity.compare(place, dataset)])
    except OSError as error:
        raise UserError(f"cannot write to {place}: {error.strerror or error}; make room or give access") from error
    return remarks


def _check_is_new(place: Path) -> None:
    """Raises UserError when a run has been trained for long in `place`, but its checkpoints are gone."""
    trained = [kimg for kimg in snapshots(place) if kimg > 0]
    if len(trained) > 1:
        raise UserError(
            f"{place} has snapshots up to {max(trained):g} kimg but no checkpoint to go on from, and nothing was "
            "changed; bring one back, begin anew with --new, or start from a snapshot's weights with --resume"
        )


def _most_numbers(config: RunConfig, place: Path, found: Sequence[Path]) -> int:
    """How many numbers the networks of these checkpoints have at most, by their headers.

    Raises UserError when no header can be read, or `config` cannot be of any of them.
    """
    numbers, tensors, reasons = [], [], {}
    for path in found:
        try:
            kinds = open_tensors(path).kinds
        except UserError as error:
            reasons[path] = str(error)
            continue
        numbers.append(elements_of(below(kinds, "G")) + elements_of(below(kinds, "D")))
        tensors.append(len(kinds))
    if not numbers:
        refuse(reasons, place)
    for section in (config.generator, config.discriminator):
        check_limits(section, max(tensors), f"{place / run_dir.CONFIG}: the checkpoints")
    return max(numbers) + SPARE_ELEMENTS


def _load_newest(state: TrainingState, place: Path, found: Sequence[Path]) -> Path:
    reasons: dict[Path, str] = {}
    for path in found:
        try:
            state.load(path)
        except UserError as error:
            reasons[path] = str(error)
            continue
        state.remarks += [f"passed over: {reason}" for reason in reasons.values()]
        return path
    refuse(reasons, place)
    raise AssertionError("there was a checkpoint")
