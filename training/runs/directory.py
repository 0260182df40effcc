"""Run directories: OUTDIR/00000-NAME, OUTDIR/00001-NAME, ...; the same command again continues its run."""

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from dnnlib.errors import UserError
from dnnlib.files import check_place, make_dir, write_json
from dnnlib.json_files import read_json
from training.config import RunConfig
from training.runs.checkpoint import is_whole, latest_checkpoint, needed_checkpoint, read_about

CONFIG = "config.json"
LONGEST_NAME = 200  # bytes of a directory's name

# Where and how a run computes (docs/training.md, Many GPUs): the same command on other hardware goes on with its run.
HARDWARE = ("hardware", "data.workers", "schedule.batch_gpu", "schedule.keep_checkpoints", "schedule.keep_snapshots")
# What may change besides when a run is continued by name.
PLAN = ("name", "resume", "data.path", "schedule.total_kimg", "schedule.kimg_per_tick", "schedule.snapshot_ticks",
        "schedule.metrics", "schedule.trackers", "schedule.nonfinite_limit")


class Progress(Enum):
    """What there is in a run directory."""

    NEW = "new"  # nothing: the directory is yet to be made
    STARTED = "started"
    FINISHED = "finished"


@dataclass(frozen=True)
class RunDir:
    """Where a run goes, or went."""

    path: Path
    progress: Progress


def find(outdir: str | Path, config: RunConfig, new: bool = False) -> RunDir:
    """Where a run of `config` belongs; writes nothing.

    That is the newest directory in `outdir` with this very configuration, or `outdir` itself when it is one; else, or
    with `new`, the next number. Raises UserError when `outdir` is a run of something else or cannot be a directory.
    """
    outdir = Path(outdir)
    check_place(outdir, "--outdir")
    if is_run(outdir):
        _check_same(outdir, config, new)
        return RunDir(outdir, _progress(outdir, config))
    taken = _numbered(outdir)
    for path in [] if new else [taken[number] for number in sorted(taken, reverse=True)]:
        saved = _saved_config(path)
        if saved is not None and first_difference(saved, config, HARDWARE) is None:
            return RunDir(path, _progress(path, config))
    return RunDir(outdir / _dir_name(max(taken, default=-1) + 1, config.name), Progress.NEW)


def going_on(path: Path, config: RunConfig) -> RunDir:
    """The run in `path`, to be continued with `config`.

    Raises UserError, naming the first difference, when `config` would have it learn something else.
    """
    difference = first_difference(load_config(path), config, HARDWARE + PLAN)
    if difference is not None:
        raise UserError(f"{path} is a run with other settings ({difference}); begin a new run for those")
    return RunDir(path, _progress(path, config))


def is_run(path: Path) -> bool:
    """Whether `path` is the directory of a run."""
    return (path / CONFIG).is_file() or latest_checkpoint(path) is not None


def is_damaged(path: Path) -> bool:
    """Whether config.json in the directory of a run is missing or cannot be understood."""
    return _config_in(path) is None


def runs(outdir: Path) -> list[Path]:
    """The runs in `outdir` by number; `outdir` itself where it is a run."""
    if is_run(outdir):
        return [outdir]
    return [path for _, path in sorted(_numbered(outdir).items()) if is_run(path)]


def load_config(path: Path) -> RunConfig:
    """The configuration of the run in `path`. Raises UserError when this version does not understand it."""
    saved = _saved_config(path)
    if saved is None:
        raise UserError(f"{path / CONFIG} is no configuration of this version; begin a new run")
    return saved


def moved(config: RunConfig, data: str | None) -> RunConfig:
    """The configuration with its images at `data`; as it is for None."""
    if data is None:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"path": os.path.abspath(data)})})


def create(place: RunDir, config: RunConfig) -> Path:
    """Make a new run's directory with config.json in it; leaves others as they are. Returns the path.

    Raises UserError when it cannot be written to, or another process was faster.
    """
    if place.progress is not Progress.NEW:
        return make_dir(place.path)  # for its check
    make_dir(place.path.parent)
    try:
        place.path.mkdir()
    except FileExistsError as error:
        raise UserError(f"{place.path} has been made by another run this moment; give the command again") from error
    write_json(place.path / CONFIG, config.model_dump(mode="json"))
    return place.path


def _numbered(outdir: Path) -> dict[int, Path]:
    """The directories in `outdir` that have a number."""
    if not outdir.is_dir():
        return {}
    found = ((re.match(r"([0-9]{5,})(-|$)", path.name), path) for path in outdir.iterdir() if path.is_dir())
    return {int(match[1]): path for match, path in found if match}


def _dir_name(number: int, name: str) -> str:
    """Such as 00000-cats256-demo; as long as a file system allows, with room for what is appended."""
    return f"{number:05d}-{name}".encode()[:LONGEST_NAME].decode(errors="ignore")


def _saved_config(run_dir: Path) -> RunConfig | None:
    """The configuration in a run directory, or where it is damaged that of its newest checkpoint.

    None where there is none that this version understands.
    """
    found = _config_in(run_dir)
    checkpoint = latest_checkpoint(run_dir) if found is None else None
    if checkpoint is None:
        return found
    try:
        return RunConfig.model_validate(read_about(checkpoint).get("config"))
    except (UserError, ValidationError):
        return None


def _config_in(run_dir: Path) -> RunConfig | None:
    try:
        return RunConfig.model_validate(read_json(run_dir / CONFIG))
    except (UserError, ValidationError):
        return None


def _progress(run_dir: Path, config: RunConfig) -> Progress:
    checkpoint = needed_checkpoint(run_dir)
    if checkpoint is None:
        return Progress.STARTED
    images = read_about(checkpoint)["images"]
    done = images >= round(config.schedule.total_kimg * 1000) and is_whole(checkpoint)
    return Progress.FINISHED if done else Progress.STARTED


def _check_same(run_dir: Path, config: RunConfig, new: bool) -> None:
    if new:
        raise UserError(f"{run_dir} is a run directory; for a new run give the directory above it")
    saved = _saved_config(run_dir)
    if saved is None:
        raise UserError(f"{run_dir / CONFIG} is no configuration of this version; choose another --outdir")
    difference = first_difference(saved, config, HARDWARE)
    if difference is not None:
        raise UserError(
            f"{run_dir} is a run with other settings ({difference}); give those, "
            "--continue to change the length of the run only, or the directory above it for a new run"
        )


# What is found in the data; of that, what a run learns is seen in c_dim, and older runs do not have it.
FOUND = ("data.class_names", "data.label_examples")


def first_difference(saved: RunConfig, config: RunConfig, apart_from: tuple[str, ...] = ()) -> str | None:
    """Such as "loss.r1_gamma is 1 there, 2 here"; None when all agrees but keys in, or below, `apart_from`."""
    there, here = (_flat(one.model_dump(mode="json")) for one in (saved, config))
    keys = sorted({**there, **here}, key=lambda key: key == "name")  # the name only repeats other differences
    for key in keys:
        free = any(key == other or key.startswith(other + ".") for other in (*apart_from, *FOUND))
        if not free and there.get(key, "-") != here.get(key, "-"):
            return f"{key} is {there.get(key, 'absent')} there, {here.get(key, 'absent')} here"
    return None


def _flat(tree: dict, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
