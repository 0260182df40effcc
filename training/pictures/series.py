"""N pictures as files: one each, a grid, strips in which something changes, or a film through all of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dnnlib.files import make_dir
from training.choices import NoiseMode
from training.layouts.edits import Center, Change, changed, moved
from training.layouts.keyframes import Keyframes
from training.layouts.layout import Layout
from training.pictures.grids import (
    enlarged,
    image_grid,
    moving_strip,
    samples_beside_heatmaps,
    save_png,
    square_columns,
)
from training.pictures.products import GRIDS, HEATMAPS, STRIPS
from training.pictures.videos import save_video
from training.sampling import Model, to_uint8

VIDEO_SIDE = 256  # small pictures are enlarged until a video is at least this wide, pixels
FILM_SPEED = 20  # frames a second


@dataclass(frozen=True)
class Scenes:
    """N pictures to be made; everything in it has been checked. `names` are those of their files."""

    model: Model
    names: list[str]
    seeds: list[int]
    ws: Tensor  # [N, num_ws, w_dim]
    layout: Layout | None
    noise_mode: NoiseMode
    batch: int
    moves: list[Center] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    scale: int = 1

    def __len__(self) -> int:
        return len(self.seeds)

    def images(self, chosen: slice) -> Tensor:
        """[n, C, R, R] of some of them."""
        layout = None if self.layout is None else self.layout[chosen]
        return self._draw(self.seeds[chosen], self.ws[chosen], layout)

    def moving(self, number: int, frames: int) -> tuple[Tensor, Layout]:
        """One of them while its centres, spreads or strengths change: images [frames, C, R, R] and their layouts."""
        layout = self.known_layout
        share = torch.linspace(0, 1, frames, device=layout.centers[0].device)
        layout = changed(moved(layout[[number]].repeat(frames), self.moves, share), self.changes, share)
        return self._draw([self.seeds[number]] * frames, self.ws[[number]], layout), layout

    def film(self, frames: int) -> Iterator[tuple[Tensor, Layout | None]]:
        """A film through all of them, `frames` from one to the next: images [n, C, R, R] and their layouts.

        Spreads and strengths that change do so from its beginning to its end. Grain is that of the first.
        """
        layout = self.layout
        if layout is not None:
            layout = changed(layout, self.changes, torch.linspace(0, 1, len(self), device=layout.centers[0].device))
        keys = Keyframes(self.ws, layout)
        times = keys.times(frames)
        for start in range(0, len(times), self.batch):
            ws, between = keys.at(times[start : start + self.batch])
            yield self._draw([self.seeds[0]] * len(ws), ws, between), between

    @property
    def known_layout(self) -> Layout:
        """That of a model which takes one; _check_steerable has looked."""
        assert self.layout is not None
        return self.layout

    def _draw(self, seeds: list[int], ws: Tensor, layout: Layout | None) -> Tensor:
        images = self.model.images(seeds, ws=ws, layout=layout, noise_mode=self.noise_mode, batch_size=self.batch)
        return enlarged(images, self.scale)


def write_pictures(scenes: Scenes, show_heatmaps: bool, outdir: Path) -> list[Path]:
    """One PNG each, and perhaps a second one with the heatmaps."""
    written = []
    for start in tqdm(range(0, len(scenes), scenes.batch), unit="batch", disable=None):
        chosen = slice(start, start + scenes.batch)
        images = scenes.images(chosen)
        pixels = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
        for i, name in enumerate(scenes.names[chosen]):
            written.append(save_png(outdir / f"{name}.png", pixels[i]))
            if show_heatmaps:
                beside = samples_beside_heatmaps(images[i : i + 1], scenes.known_layout[[start + i]])
                written.append(save_png(make_dir(outdir / HEATMAPS) / f"{name}.png", beside))
    return written


def write_grid(scenes: Scenes, columns: int, show_heatmaps: bool, outdir: Path) -> list[Path]:
    """One page with all of them."""
    images, folder = scenes.images(slice(None)), make_dir(outdir / GRIDS)
    written = [save_png(folder / "grid.png", image_grid(images, columns))]
    if show_heatmaps:
        written.append(save_png(folder / "grid-heatmaps.png", samples_beside_heatmaps(images, scenes.known_layout)))
    return written


def write_strips(scenes: Scenes, frames: int, show_heatmaps: bool, video: str | None, outdir: Path) -> list[Path]:
    """A strip each; perhaps its frames beside their heatmaps; perhaps a video of all."""
    written, films, folder = [], [], make_dir(outdir / STRIPS)
    level = scenes.moves[0].level if scenes.moves else scenes.changes[0].level
    for i, name in enumerate(tqdm(scenes.names, unit="strip", disable=None)):
        images, layout = scenes.moving(i, frames)
        written.append(save_png(folder / f"{name}.png", moving_strip(images, layout, level=level)))
        if show_heatmaps:
            written.append(save_png(folder / f"{name}-heatmaps.png", samples_beside_heatmaps(images, layout)))
        if video:
            films.append(to_uint8(images).cpu())
    if video:
        written.append(save_video(video, _video_frames(torch.stack(films))))
    return written


def write_film(scenes: Scenes, frames: int, show_heatmaps: bool, path: str | Path) -> list[Path]:
    """A video through all of them, `frames` from one to the next, perhaps beside their heatmaps."""
    pages: list[np.ndarray] = []
    with tqdm(total=(len(scenes) - 1) * frames + 1, unit="frame", disable=None) as bar:
        for images, layout in scenes.film(frames):
            pages += [_page(images[[i]], layout, i, show_heatmaps) for i in range(len(images))]
            bar.update(len(images))
    return [save_video(path, pages, FILM_SPEED)]


def _page(image: Tensor, layout: Layout | None, number: int, show_heatmaps: bool) -> np.ndarray:
    if show_heatmaps:
        assert layout is not None
        return samples_beside_heatmaps(image, layout[[number]])
    return image_grid(image, 1, smallest=VIDEO_SIDE)


def _video_frames(films: Tensor) -> list[np.ndarray]:
    """Films [N, frames, C, R, R] of all seeds to one grid a frame."""
    columns = square_columns(len(films))
    return [image_grid(films[:, frame], columns, smallest=VIDEO_SIDE // columns) for frame in range(films.shape[1])]
