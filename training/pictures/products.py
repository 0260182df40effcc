"""What is written beside plain pictures (heatmaps, strips, grids), and the names by which it is told from them."""

import re
from collections.abc import Sequence

HEATMAPS, STRIPS, GRIDS = "heatmaps", "strips", "grids"  # folders below generate.py's --outdir

_IN_FOLDERS = re.compile(rf"({HEATMAPS}|{STRIPS}|{GRIDS})/[^/]+\.png")
_BY_NAME = re.compile(r"(seed|latent)\d+-(heatmaps|strip)\.png|grid(-heatmaps)?\.png")  # as they were called before
_OF_A_RUN = re.compile(r"((.*/)?)((fakes|heatmaps|steer)\d+(\.\d+)?|reals)\.png")
RUN_FILES = ("config.json", "log.txt", "stats.jsonl")


def products(names: Sequence[str]) -> list[str]:
    """Those of the files `names`, relative to one folder, that generate.py or a training made of several pictures."""
    runs = {folder for name in names for folder, _, file in [name.rpartition("/")] if file in RUN_FILES}
    return [name for name in names if _IN_FOLDERS.fullmatch(name) or _BY_NAME.fullmatch(name) or _is_of(runs, name)]


def _is_of(runs: set[str], name: str) -> bool:
    match = _OF_A_RUN.fullmatch(name)
    return match is not None and (match[2] or "").rstrip("/") in runs
