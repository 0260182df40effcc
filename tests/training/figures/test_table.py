"""Tables of pictures: where cells go, labels that fit, the file."""

import io

import numpy as np
from PIL import Image

from training.figures import table
from training.figures.table import Group, Row, Table, draw, save_table

SIDE = 128


def cell(value: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def rendered(shown: Table) -> np.ndarray:
    buffer = io.BytesIO()
    draw(shown).savefig(buffer, dpi=table.DPI)
    return np.asarray(Image.open(buffer).convert("RGB"))


def solid_cells(pixels: np.ndarray, value: int) -> int:
    """How many whole cells of one grey there are."""
    return round((pixels == value).all(2).sum() / SIDE**2, 2)


def simple(**changes) -> Table:
    rows = [Row([cell(10), cell(60)], "first"), Row([cell(110), cell(160)], "second", ["note", "note"])]
    return Table(**{"title": "Title", "columns": ["left", "right"], "groups": [Group(rows, "both")], **changes})


def test_cells_keep_their_pixels_and_their_places():
    pixels = rendered(simple())
    for value in (10, 60, 110, 160):
        rows, columns = np.nonzero((pixels == value).all(2))
        inside = (np.ptp(rows) + 1, np.ptp(columns) + 1)
        assert inside == (SIDE, SIDE) or len(rows) > SIDE**2  # letters may have the same grey
    where = {value: np.argwhere((pixels == value).all(2)).mean(0) for value in (60, 110, 160)}
    assert np.allclose(where[160] - where[60], [SIDE + table.GAP, 0], atol=1)
    assert np.allclose(where[160] - where[110], [0, SIDE + table.GAP], atol=1)


def test_an_empty_place_stays_white():
    shown = simple(groups=[Group([Row([cell(110), None]), Row([cell(60), cell(160)])])])
    pixels = rendered(shown)
    assert (solid_cells(pixels, 110), solid_cells(pixels, 160)) == (1, 1)
    assert (pixels == 255).all(2).sum() > SIDE**2


def test_every_word_is_on_the_page():
    shown = simple(caption="A caption. " * 20, scale=("low", "high"))
    figure = draw(shown)
    words = " ".join(text.get_text() for text in figure.texts)
    for word in ("Title", "left", "right", "first", "second", "both", "note", "low", "high"):
        assert word in words
    assert words.count("caption") == 20
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.height


def test_a_long_group_label_is_broken_to_the_height_of_its_rows():
    label = "a-run-with-a-long-name-indeed, 12500 kimg"
    figure = draw(simple(groups=[Group([Row([cell(10)])], label)]))
    (text,) = [text for text in figure.texts if "kimg" in text.get_text()]
    assert text.get_text().count("\n") >= 2
    assert text.get_window_extent().height <= 1.3 * SIDE


def test_notes_take_room_below_their_row():
    plain = simple(groups=[Group([Row([cell(10)]), Row([cell(60)])])])
    noted = simple(groups=[Group([Row([cell(10)], notes=["r = 1.00"]), Row([cell(60)])])])
    assert rendered(noted).shape[0] == rendered(plain).shape[0] + table.LINE


def test_a_table_is_saved_whole(tmp_path):
    path = save_table(tmp_path / "t.png", simple())
    with Image.open(path) as picture:
        assert picture.width >= table.LEAST_WIDTH
    assert [one.name for one in tmp_path.iterdir()] == ["t.png"]
