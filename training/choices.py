"""What options choose from, by name, and defaults to show. Nothing here needs torch: --help answers at once."""

from pathlib import Path
from typing import Literal, get_args

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

SamplerKind = Literal[
    "paper", "released", "uniform", "multi-object", "non-hierarchical", "released-non-hierarchical", "noise", "impulse"
]  # fmt: skip
Precision = Literal["trained", "float32", "bfloat16", "float16"]  # trained: as the configuration has it
NoiseMode = Literal["const", "random", "none"]

SAMPLERS = get_args(SamplerKind)
SEL_KINDS = ("none", "norm", "concat", "indoor", "flatten")
GRADCAMS = ("run", "paper", "released")  # how attention is read
PIPE_NAMES = ("blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc")

TRACKERS = ("tensorboard", "wandb", "trackio")  # where the curves of a run can go
FRAMES = 9  # of a strip or video, of a moving centre
STEPS = 7  # pictures in a strip of visualize.py
AMPLITUDES = (0.0, 0.1, 0.2, 0.4, 0.8)  # of noise added to images


def known_names(folder: str = "") -> list[str]:
    """Base configurations, or what a folder of configs/ has (methods), in alphabetical order."""
    return sorted(path.stem for path in (CONFIGS / folder).glob("*.yaml"))
