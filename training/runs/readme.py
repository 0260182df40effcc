"""README.txt of a run directory: what was run, how to go on with it and use it, what each file is."""

import importlib.metadata
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dnnlib.files import write_text
from training.config import RunConfig

NAME = "README.txt"
ROOT = Path(__file__).resolve().parents[2]

# In the order of the text; a name with a * stands for several files.
FILES = {
    "config.json": "everything that defines the run",
    "data.json": "how many training images there are, and digests by which a change of them is noticed",
    "lock": "which process trains here, while one does",
    "log.txt": "what the run said, with times",
    "stats.jsonl": "losses, scores and times, one line a tick",
    "events.out.tfevents.*": "the same and sample pictures, for TensorBoard",
    "network-snapshot-*.safetensors": "weights of G, D and the averaged G_ema, with the configuration; * in kimg",
    "checkpoint-*.safetensors": "all that is needed to go on; * in images",
    "reals.png": "training images",
    "fakes*.png": "samples of the averaged generator, the same latents every time; * in kimg",
    "heatmaps*.png": "samples beside their heatmaps of the three levels, and both laid over one another",
    "steer*.png": "each row one latent, its level-0 centre moved from left to right and from top to bottom",
    "metric-*.jsonl": "results of a metric, one line a measurement",
    "best.json": "the best result of a metric of quality so far, and which snapshot it is of",
    "nonfinite-*.safetensors": "inputs of a step that was skipped because a gradient was NaN or Inf",
}
STEERING = ("heatmaps*.png", "steer*.png")


def write(config: RunConfig, argv: Sequence[str], run_dir: Path) -> None:
    """Write README.txt into `run_dir`, atomically. The command of one that is there already stays the run's command."""
    write_text(run_dir / NAME, describe(config, argv, run_dir, _command_in(run_dir / NAME)))


def describe(config: RunConfig, argv: Sequence[str], run_dir: Path, begun: str | None = None) -> str:
    """The text of a run's README.txt. `argv`: the command that started or continued the run, as in sys.argv.

    begun: what the section "Command" said when the run began; None: it begins now.
    """
    command = f"{_commands([_shell('python', *argv)])}\n\nin the directory {os.getcwd()}\nwith {version()}"
    first = (begun or command).split("\n\n")
    continued = [] if first[0] == command.split("\n\n")[0] else [_section("Last continued by", command)]
    sections = [
        f"{config.name}\n\n{_about(config)}",
        _section("Command", *first),
        *continued,
        _section("Going on after a stop", _continuing(first[0].split())),
        _section("Pictures", _commands(_generate(config, run_dir))),
        _section("Measuring", _commands(_measure(config, run_dir))),
        _section("Files", _files(config)),
    ]
    return "\n\n".join(sections) + "\n"


def _command_in(path: Path) -> str | None:
    """The text of the section "Command" of a run's README.txt; None where there is none that can be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    found = re.search(r"\nCommand\n-------\n\n(    python [^\n]+\n\n[^\n]+\n[^\n]+)\n", text)
    return found[1] if found else None


def version() -> str:
    """The commit of this program where it is a checkout, else its version, in words."""
    commit = _git("rev-parse", "HEAD")
    if commit:
        changed = " and changes to it" if _git("status", "--porcelain", "--untracked-files=no") else ""
        return f"commit {commit}{changed}"
    try:
        return f"version {importlib.metadata.version('steergan')}"
    except importlib.metadata.PackageNotFoundError:
        return "a version that is not known (neither a git checkout nor installed)"


def _git(*arguments: str) -> str | None:
    """What git says about the program's own directory; None where that is no checkout of its own."""
    if not (ROOT / ".git").exists():
        return None
    try:
        said = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()


def _about(config: RunConfig) -> str:
    side, schedule = config.generator.img_resolution, config.schedule
    what = f"A training run of SteerGAN: method {config.method}, images of {side}x{side} from {config.data.path},"
    how = f"{schedule.total_kimg:g} thousand images in steps of {schedule.batch_size}, seed {config.seed}."
    return f"{what}\n{how}"


def _continuing(argv: Sequence[str]) -> str:
    command = "The command above without --new" if "--new" in argv else "The same command"
    return f"{command} goes on from the newest checkpoint; only the steps since then are lost."


def _generate(config: RunConfig, run_dir: Path) -> list[str]:
    common = (f"--network={run_dir}", "--outdir=out")
    commands = [_shell("python", "generate.py", *common, "--seeds=0-15")]
    if config.generator.encoding is not None:
        commands.append(_shell("python", "generate.py", *common, "--seeds=7", "--centers=0.3,-0.2", "--show-heatmaps"))
    return commands


def _measure(config: RunConfig, run_dir: Path) -> list[str]:
    metrics = ",".join(config.schedule.metrics or ("di", "w"))
    return [
        _shell("python", "calc_metrics.py", f"--network={run_dir}", f"--metrics={metrics}"),
        _shell("tensorboard", f"--logdir={run_dir}"),
    ]


def _files(config: RunConfig) -> str:
    steerable = config.generator.encoding is not None
    return "\n".join(f"{name:32}{what}" for name, what in FILES.items() if steerable or name not in STEERING)


def _section(title: str, *paragraphs: str) -> str:
    return "\n\n".join([f"{title}\n{'-' * len(title)}", *paragraphs])


def _commands(lines: Sequence[str]) -> str:
    return "\n".join("    " + line for line in lines)


def _shell(*words: str) -> str:
    return shlex.join(words)
