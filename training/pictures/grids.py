"""Pictures of pictures: images as uint8 arrays, grids, heatmaps in colour, steering grids, PNG files."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from dnnlib.files import write_by
from training.data.dataset import ImageDataset
from training.layouts.layout import Layout
from training.layouts.registration import pixel_places
from training.runs.snapshot import kimg_name
from training.sampling import InTurn, Model, to_uint8

SMALLEST_CELL = 64  # pixels a side; smaller images are enlarged in grids
MARKED_CELL = 128  # at least this beside heatmaps, whose crosses need room
LARGEST_CELL = 256  # larger ones are reduced in the sample pictures of a run
GAP = 2  # white pixels between the cells of a grid
WIDE_GAP = 12  # and between its blocks
PAPER = 255

HEAT = matplotlib.colormaps["magma"]
LEVEL_COLORS = ((255, 255, 255), (110, 220, 255), (150, 255, 150))
CROSS_ARMS = (0.09, 0.06, 0.04)  # of a centre's cross at each level, in sides of the picture


# --- images -----------------------------------------------------------------------------------------------------


def to_pixels(images: Tensor | np.ndarray) -> np.ndarray:
    """Images [N, 1 or 3, H, W], a tensor of floats about [-1, 1] or uint8 in either form, to uint8 [N, H, W, 3]."""
    if isinstance(images, Tensor):
        images = (images if images.dtype == torch.uint8 else to_uint8(images)).cpu().numpy()
    pixels = images.transpose(0, 2, 3, 1)
    return pixels.repeat(3 // pixels.shape[3], axis=3)


def to_cells(images: Tensor | np.ndarray, smallest: int = SMALLEST_CELL, largest: int | None = None) -> np.ndarray:
    """to_pixels, then resized by a whole factor: up to at least `smallest`, or down to at most `largest` a side."""
    pixels = to_pixels(images)
    side = pixels.shape[1]
    if largest is not None and side > largest:
        return _reduced(pixels, -(-side // largest))
    factor = -(-smallest // side)
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)


def enlarged(images: Tensor, factor: int) -> Tensor:
    """Every pixel of [N, C, H, W] as factor x factor pixels."""
    return images.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3) if factor > 1 else images


def image_grid(
    images: Tensor | np.ndarray, columns: int | None = None, gap: int = GAP, smallest: int = SMALLEST_CELL
) -> np.ndarray:
    """One picture, uint8 [H, W, 3], of images [N, C, R, R] row by row; as near a square as can be without `columns`."""
    return tile(to_cells(images, smallest), columns or square_columns(len(images)), gap)


def square_columns(count: int) -> int:
    """How many columns make a grid of `count` cells about square."""
    return int(np.ceil(count**0.5))


def tile(cells: Sequence[np.ndarray] | np.ndarray, columns: int, gap: int = GAP) -> np.ndarray:
    """Cells [h, w, 3] of one size, row by row on white: uint8 [H, W, 3]."""
    rows, (h, w) = -(-len(cells) // columns), cells[0].shape[:2]
    page = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), PAPER, np.uint8)
    for number, cell in enumerate(cells):
        y, x = number // columns * (h + gap), number % columns * (w + gap)
        page[y : y + h, x : x + w] = cell
    return page


def save_png(path: str | Path, pixels: np.ndarray) -> Path:
    """Write uint8 [H, W, 3], or grey [H, W] or [H, W, 1], atomically. Returns the path."""
    if pixels.shape[2:] == (1,):
        pixels = pixels[..., 0]
    return write_by(path, lambda file: Image.fromarray(pixels).save(file, format="png"))


def _reduced(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Averages of factor x factor pixels."""
    n, h, w, c = pixels.shape
    blocks = pixels.reshape(n, h // factor, factor, w // factor, factor, c)
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)


def _stacked(*pages: np.ndarray) -> np.ndarray:
    """Pages of one width, one below the other."""
    return np.concatenate(pages, axis=0)


# --- heatmaps ---------------------------------------------------------------------------------------------------


def heatmap_pictures(layout: Layout, level: int, side: int) -> np.ndarray:
    """A level's heatmaps in colour with a cross at each centre: uint8 [N, side, side, 3].

    Where sub-heatmaps overlap, the larger value is shown; black is 0, the brightest yellow 1.
    """
    pictures = HEAT(_heat(layout, level, side), bytes=True)[..., :3]
    return _with_crosses(pictures, layout, [level])


def all_levels_pictures(layout: Layout, side: int) -> np.ndarray:
    """The level-0 heatmaps in colour with crosses at the centres of all levels: uint8 [N, side, side, 3]."""
    pictures = HEAT(_heat(layout, 0, side), bytes=True)[..., :3]
    return _with_crosses(pictures, layout, range(len(layout.centers)))


def overlay_pictures(cells: np.ndarray, layout: Layout) -> np.ndarray:
    """Cells uint8 [N, side, side, 3] tinted by the level-0 heatmap, with the centres of all levels; the same shape.

    White, blue and green crosses, from large to small, are levels 0, 1 and 2.
    """
    heat = _heat(layout, 0, cells.shape[1])
    share = 0.5 * heat[..., None]
    tinted = cells * (1 - share) + HEAT(heat, bytes=True)[..., :3] * share
    return _with_crosses(tinted.astype(np.uint8), layout, range(len(layout.centers)))


def samples_beside_heatmaps(images: Tensor | np.ndarray, layout: Layout, blocks: int = 1) -> np.ndarray:
    """A row for each image: image | level 0 | level 1 | level 2 | overlay. Uint8 [H, W, 3].

    `blocks`: this many rows stand side by side.
    """
    cells = to_cells(images, MARKED_CELL, LARGEST_CELL)
    maps = [heatmap_pictures(layout, level, cells.shape[1]) for level in range(len(layout.centers))]
    columns = [cells, *maps, overlay_pictures(cells, layout)]
    rows = [tile(row, len(row)) for row in zip(*columns, strict=True)]
    return _spaced(rows, blocks)


def _spaced(rows: list[np.ndarray], blocks: int) -> np.ndarray:
    """Rows in `blocks` columns that are further apart than the rows are."""
    per_block = -(-len(rows) // blocks)
    return side_by_side([tile(rows[i : i + per_block], 1) for i in range(0, len(rows), per_block)])


def side_by_side(pages: Sequence[np.ndarray], gap: int = WIDE_GAP) -> np.ndarray:
    """Pages of any height on white, tops aligned: uint8 [H, W, 3]."""
    height = max(len(page) for page in pages)
    width = sum(page.shape[1] + gap for page in pages) - gap
    whole, x = np.full((height, width, 3), PAPER, np.uint8), 0
    for page in pages:
        whole[: page.shape[0], x : x + page.shape[1]] = page
        x += page.shape[1] + gap
    return whole


def _heat(layout: Layout, level: int, side: int) -> np.ndarray:
    return layout.heatmaps(level, side).amax(1).clamp(0, 1).cpu().numpy()


def _with_crosses(pictures: np.ndarray, layout: Layout, levels: Sequence[int]) -> np.ndarray:
    """Small levels first, so that the cross of level 0 lies on top."""
    side, marked = pictures.shape[1], []
    for n, picture in enumerate(pictures):
        image = Image.fromarray(np.ascontiguousarray(picture))
        for level in sorted(levels, reverse=True):
            for x, y in pixel_places(layout.centers[level][n], side, layout.registration).tolist():
                _draw_cross(ImageDraw.Draw(image), (x, y), max(2, round(side * CROSS_ARMS[level])), LEVEL_COLORS[level])
        marked.append(np.asarray(image))
    return np.stack(marked)


def _draw_cross(pen: ImageDraw.ImageDraw, center: tuple[float, float], arm: int, color: tuple[int, int, int]) -> None:
    """A cross whose dark outline shows it on light ground too."""
    x, y = round(center[0]), round(center[1])
    for fill, rim in (((0, 0, 0), 1), (color, 0)):
        pen.rectangle((x - arm - rim, y - rim, x + arm + rim, y + rim), fill=fill)
        pen.rectangle((x - rim, y - arm - rim, x + rim, y + arm + rim), fill=fill)


# --- moving centres ---------------------------------------------------------------------------------------------


def moving_strip(images: Tensor | np.ndarray, layout: Layout, level: int = 0) -> np.ndarray:
    """Images of one latent under N layouts, left to right, below small heatmaps of `level`: uint8 [H, W, 3].

    The cross in the heatmap is the commanded centre; nothing is drawn into the images.
    """
    cells = to_cells(images, largest=LARGEST_CELL)
    return _stacked(_thumbnails(layout, level, cells.shape[1]), tile(cells, len(cells)))


def steering_grid(
    model: Model, seeds: Sequence[int], labels: InTurn | None = None, reach: float = 0.4, steps: int = 7
) -> np.ndarray:
    """Does it follow? Rows are fixed latents, columns positions of the level-0 centre. Uint8 [H, W, 3].

    Left block: the centre goes from x = -reach to reach at y = 0; right block: from y = -reach to reach at x = 0.
    Each seed keeps its own latent, spreads and offsets of levels 1 and 2. The position stands above each column.
    """
    way, still = torch.linspace(-reach, reach, steps), torch.zeros(steps)
    layout = model.layout(seeds)
    assert layout is not None
    middle = _centered(layout.to("cpu"))
    return side_by_side(
        [_steering_block(model, seeds, labels, middle, dx, dy) for dx, dy in ((way, still), (still, way))]
    )


def _steering_block(
    model: Model, seeds: Sequence[int], labels: InTurn | None, middle: Layout, dx: Tensor, dy: Tensor
) -> np.ndarray:
    steps, rows = len(dx), len(seeds)
    layout = middle.repeat(steps).moved(0, 0, dx.repeat(rows), dy.repeat(rows))
    images = model.images(_each(seeds, steps), layout=layout, labels=labels and _each(labels, steps))
    cells = to_cells(images, largest=LARGEST_CELL)
    return _stacked(_thumbnails(layout[:steps], 0, cells.shape[1]), tile(cells, steps))


def _centered(layout: Layout) -> Layout:
    x, y = layout.centers[0][:, 0].unbind(-1)
    return layout.moved(0, 0, -x, -y)


def _each(things: Sequence, count: int) -> list:
    return [thing for thing in things for _ in range(count)]


def _thumbnails(layout: Layout, level: int, cell: int) -> np.ndarray:
    """A row of heatmaps of half the cell's size, each in the middle of its column."""
    side = cell // 2
    left = (cell - side) // 2
    margins = ((0, 0), (0, 2 * GAP), (left, cell - side - left), (0, 0))
    return tile(np.pad(heatmap_pictures(layout, level, side), margins, constant_values=PAPER), len(layout))


# --- sample pictures of a run -----------------------------------------------------------------------------------


def save_reals(run_dir: str | Path, dataset: ImageDataset) -> Path:
    """Write reals.png, a grid of training images to compare samples with; returns its path."""
    chosen = range(0, len(dataset), max(len(dataset) // 64, 1))[:64]
    return save_png(Path(run_dir) / "reals.png", image_grid(np.stack([dataset[i][0] for i in chosen])))


def save_training_samples(
    run_dir: str | Path, model: Model, kimg: float, seeds: Sequence[int] = range(64)
) -> list[Path]:
    """Write fakes000125.png and, for steerable models, heatmaps000125.png and steer000125.png into `run_dir`.

    Each shows the same seeds every time: all of them, the first 12, the first 8. Labels, where the model has
    them, take turns. Returns the paths written.
    """
    seeds, suffix = list(seeds), f"{kimg_name(kimg)}.png"
    labels = model.labels_in_turn(len(seeds))
    images, layout = model.images(seeds, labels=labels), model.layout(seeds)
    fakes = tile(to_cells(images, largest=LARGEST_CELL), square_columns(len(seeds)))
    pictures = {"fakes": fakes}
    if layout is not None:
        pictures["heatmaps"] = samples_beside_heatmaps(images[:12], layout[:12], blocks=2)
        pictures["steer"] = steering_grid(model, seeds[:8], model.labels_in_turn(len(seeds[:8])))
    return [save_png(Path(run_dir) / f"{name}{suffix}", pixels) for name, pixels in pictures.items()]
