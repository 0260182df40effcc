"""Rows of the papers' tables, each a method of its own: configs/tables/PAPER.yaml.

A file holds tables {its name in the paper: {cfg, rows}}; rows are in the paper's order, {name: row}. What a row `says`
there and the numbers of the `paper` are for docs/reproduce.md; the rest is a layer as in configs/methods.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from training.choices import CONFIGS

PAPERS = ("eqgan-sa", "eqgan-sa-supplement", "spatialgan")  # files of configs/tables


@dataclass(frozen=True)
class Row:
    """name: of the method. table, label: where the paper has it. cfg: the base configuration that it is meant for.

    paper: {data set: {quantity: number}}. layer: what the method sets, with the method that it `inherits`.
    """

    name: str
    table: str
    label: str
    cfg: str
    paper: dict[str, dict[str, float]]
    layer: dict[str, Any]


@cache
def rows() -> dict[str, Row]:
    """All rows by name, papers and tables in order."""
    return {row.name: row for paper in PAPERS for row in _read(paper)}


def _read(paper: str) -> list[Row]:
    tables = yaml.safe_load((CONFIGS / "tables" / f"{paper}.yaml").read_text(encoding="utf-8"))
    found = []
    for title, table in tables.items():
        for name, layer in table["rows"].items():
            label, numbers = layer.pop("says"), layer.pop("paper")
            found.append(Row(name, title, label, table["cfg"], numbers, layer))
    return found
