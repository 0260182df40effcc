"""Tables of pictures as papers print them: cells of one size, labelled rows and columns, a title and a caption.

Pictures keep their pixels; text is drawn by matplotlib. Positions are in pixels from the page's top left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.figure import Figure

from dnnlib.files import write_by
from training.pictures.grids import HEAT

DPI = 150
MARGIN = 20
GAP, GROUP_GAP = 4, 18  # white between cells, and between groups of rows
LINE = 21  # height of a line of labels
LEAST_WIDTH = 560  # of the page, so that titles have room
BAR = (150, 11)  # width and height of the colour scale
INK, FAINT = "#1a1a1a", "#555555"
TITLE_STYLE = {"size": 9.5, "weight": "bold"}
LABEL_STYLE = {"size": 8}
SMALL_STYLE = {"size": 7, "color": FAINT}
TITLE_LETTER, LABEL_LETTER, SMALL_LETTER = 12.8, 12, 8.5  # mean width of a letter


@dataclass(frozen=True)
class Row:
    """Cells uint8 [side, side, 3] from the left (None: an empty place); `notes` stand below them."""

    cells: Sequence[np.ndarray | None]
    label: str = ""
    notes: Sequence[str] = ()

    @property
    def side(self) -> int:
        """Of a cell, in pixels."""
        return next(len(cell) for cell in self.cells if cell is not None)


@dataclass(frozen=True)
class Group:
    """Rows that belong together. The label stands beside them, reading upwards, and may have several lines."""

    rows: Sequence[Row]
    label: str = ""


@dataclass(frozen=True)
class Table:
    """A figure. `scale`: what the darkest and the brightest colour of its maps mean; None: it shows no maps."""

    title: str
    columns: Sequence[str]
    groups: Sequence[Group]
    caption: str = ""
    scale: tuple[str, str] | None = None

    @property
    def rows(self) -> list[Row]:
        return [row for group in self.groups for row in group.rows]


def save_table(path: str | Path, table: Table) -> Path:
    """Write a table as PNG, atomically. Returns the path."""
    return write_by(path, lambda file: draw(table).savefig(file, dpi=DPI, format="png"))


def draw(table: Table) -> Figure:
    """Lay a table out on a page as wide as its columns."""
    side = next(cell.shape[0] for row in table.rows for cell in row.cells if cell is not None)
    table = replace(table, groups=[_with_fitting_label(group, side) for group in table.groups])
    grid = _Grid(side, _left_edge(table), max(len(row.cells) for row in table.rows))
    page = _Page(max(grid.right + MARGIN, LEAST_WIDTH))
    y = _write_lines(page, MARGIN, table.title, TITLE_LETTER, TITLE_STYLE)
    y = _write_headings(page, y + GAP, table.columns, grid)
    for group in table.groups:
        y = _place_group(page, y, group, grid) + GROUP_GAP
    y = y - GROUP_GAP + LINE // 2
    if table.scale is not None:
        y = _place_scale(page, y, table.scale, grid.left)
    y = _write_lines(page, y, table.caption, SMALL_LETTER, SMALL_STYLE)
    return page.figure(y + MARGIN // 2)


@dataclass(frozen=True)
class _Grid:
    """Where cells go across."""

    side: int
    left: int
    columns: int

    @property
    def right(self) -> int:
        return self.x(self.columns) - GAP

    def x(self, column: int) -> int:
        return self.left + column * (self.side + GAP)

    def middle(self, column: int) -> float:
        return self.x(column) + self.side / 2


@dataclass
class _Page:
    """Pictures and texts with their places."""

    width: int
    pictures: list[tuple[int, int, np.ndarray]] = field(default_factory=list)
    texts: list[tuple[float, float, str, dict]] = field(default_factory=list)

    def picture(self, x: int, y: int, cell: np.ndarray) -> None:
        self.pictures.append((x, y, cell))

    def text(self, x: float, y: float, text: str, **style) -> None:
        self.texts.append((x, y, text, {"color": INK, **style}))

    def figure(self, height: int) -> Figure:
        """The page, cut off at `height`."""
        pixels = np.full((height, self.width, 3), 255, np.uint8)
        for x, y, cell in self.pictures:
            pixels[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
        figure = Figure(figsize=(self.width / DPI, height / DPI), dpi=DPI)
        figure.figimage(pixels, origin="upper")
        for left, top, text, style in self.texts:
            figure.text(left / self.width, 1 - top / height, text, **style)
        return figure


def _with_fitting_label(group: Group, side: int) -> Group:
    """The group with its label broken into lines no longer than the group is high."""
    letters = len(group.rows) * side // LABEL_LETTER
    return replace(group, label="\n".join(part for line in group.label.split("\n") for part in wrap(line, letters)))


def _left_edge(table: Table) -> int:
    """Right of the labels of groups and rows."""
    beside = [_lines(group.label for group in table.groups), _lines(row.label for row in table.rows)]
    return MARGIN + LINE * sum(beside) + (2 * GAP if all(beside) else 0)


def _lines(labels: Iterable[str]) -> int:
    """The most lines that one of the labels has."""
    return max((label.count("\n") + 1 for label in labels if label), default=0)


def _write_lines(page: _Page, y: int, text: str, letter: float, style: dict) -> int:
    """Text across the page, wrapped; returns where it ends."""
    for line in wrap(text, int((page.width - 2 * MARGIN) / letter)):
        page.text(MARGIN, y, line, va="top", **style)
        y += LINE
    return y


def _write_headings(page: _Page, y: int, columns: Sequence[str], grid: _Grid) -> int:
    bottom = y + LINE * _lines(columns)
    for column, heading in enumerate(columns):
        page.text(grid.middle(column), bottom, heading, ha="center", va="bottom", **LABEL_STYLE)
    return bottom + GAP


def _place_group(page: _Page, y: int, group: Group, grid: _Grid) -> int:
    top = y
    for row in group.rows:
        y = _place_row(page, y, row, grid) + GAP
    bottom = y - GAP
    if group.label:
        lines = _lines([group.label])
        page.text(MARGIN + LINE * lines / 2 - GAP, (top + bottom) / 2, group.label,
                  rotation=90, ha="center", va="center", multialignment="center", weight="bold", **LABEL_STYLE)
    return bottom


def _place_row(page: _Page, y: int, row: Row, grid: _Grid) -> int:
    if row.label:
        x = grid.left - LINE * _lines([row.label]) / 2 - GAP
        page.text(x, y + grid.side / 2, row.label,
                  rotation=90, ha="center", va="center", multialignment="center", **LABEL_STYLE)
    for column, cell in enumerate(row.cells):
        if cell is not None:
            page.picture(grid.x(column), y, cell)
    bottom = y + grid.side
    for column, note in enumerate(row.notes):
        page.text(grid.middle(column), bottom + 2, note, ha="center", va="top", **SMALL_STYLE)
    return bottom + (LINE if row.notes else 0)


def _place_scale(page: _Page, y: int, meaning: tuple[str, str], left: int) -> int:
    """A bar from the darkest to the brightest colour between two words."""
    low, high = meaning
    width, height = BAR
    x = left + round(len(low) * SMALL_LETTER) + GAP
    colors = HEAT(np.linspace(0, 1, width), bytes=True)[None, :, :3]
    page.picture(x, y + (LINE - height) // 2, np.repeat(colors, height, axis=0))
    page.text(x - GAP, y + LINE / 2, low, ha="right", va="center", **SMALL_STYLE)
    page.text(x + width + GAP, y + LINE / 2, high, ha="left", va="center", **SMALL_STYLE)
    return y + LINE + GAP
