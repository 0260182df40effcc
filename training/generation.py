"""From a request to pictures on disk: what generate.py does. All checks come before the first file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dnnlib.errors import UserError
from dnnlib.files import make_dir
from dnnlib.parsing import int_ranges
from torch_utils.allocator import keep_memory
from torch_utils.threads import yield_when_crowded
from training.choices import FRAMES, NoiseMode, Precision
from training.data.class_names import listed, parse_class, read_class_names
from training.layouts.edits import (
    Center,
    check_moves,
    load_latents,
    moved,
    parse_centers,
    parse_grid,
    parse_moves,
    parse_removals,
    parse_restyles,
    placed,
    without,
)
from training.layouts.files import load_layout, save_layout
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
from training.pictures.videos import check_video, save_video
from training.runs.snapshot import find_snapshot
from training.sampling import SEED_LIMIT, Model, to_uint8

VIDEO_SIDE = 256  # small pictures are enlarged until a video is at least this wide, pixels
PAGE_LIMIT = 2**28  # pixels of a grid, a strip or a video
LATENTS_LIMIT = 2**30  # numbers in the latents of all pictures


@dataclass(frozen=True)
class GenerateRequest:
    """What generate.py was asked for, in the form of its options."""

    network: str
    outdir: str
    seeds: str | None = None
    trunc: float = 1.0
    trunc_cutoff: int | None = None
    class_label: str | None = None
    noise_mode: NoiseMode = "const"
    latents: str | None = None
    centers: tuple[str, ...] = ()
    layout: str | None = None
    save_layout: str | None = None
    moves: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    restyles: tuple[str, ...] = ()
    frames: int | None = None
    video: str | None = None
    show_heatmaps: bool = False
    grid: str | None = None
    scale: int = 1
    batch: int = 32
    precision: Precision = "trained"
    device: str = "auto"


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
    scale: int = 1

    def __len__(self) -> int:
        return len(self.seeds)

    def images(self, chosen: slice) -> Tensor:
        """[n, C, R, R] of some of them."""
        layout = None if self.layout is None else self.layout[chosen]
        return self._draw(self.seeds[chosen], self.ws[chosen], layout)

    def moving(self, number: int, frames: int) -> tuple[Tensor, Layout]:
        """One of them while its centres move: images [frames, C, R, R] and their layouts."""
        layout = self.known_layout
        share = torch.linspace(0, 1, frames, device=layout.centers[0].device)
        layout = moved(layout[[number]].repeat(frames), self.moves, share)
        return self._draw([self.seeds[number]] * frames, self.ws[[number]], layout), layout

    @property
    def known_layout(self) -> Layout:
        """That of a model which takes one; _check_steerable has looked."""
        assert self.layout is not None
        return self.layout

    def _draw(self, seeds: list[int], ws: Tensor, layout: Layout | None) -> Tensor:
        images = self.model.images(seeds, ws=ws, layout=layout, noise_mode=self.noise_mode, batch_size=self.batch)
        return enlarged(images, self.scale)


def generate(request: GenerateRequest) -> list[Path]:
    """Write the pictures; returns their paths. Raises UserError, before anything is written, on bad input."""
    _check_together(request)
    grid = parse_grid(request.grid) if request.grid else None
    scenes = _prepare(request, grid)
    outdir = make_dir(request.outdir)
    for path in filter(None, (request.save_layout, request.video)):
        make_dir(Path(path).parent)
    if scenes.moves:
        written = _write_strips(scenes, request, outdir)
    elif grid:
        written = _write_grid(scenes, grid[0], request.show_heatmaps, outdir)
    else:
        written = _write_pictures(scenes, request.show_heatmaps, outdir)
    if request.save_layout:
        save_layout(request.save_layout, scenes.known_layout)
        written.append(Path(request.save_layout))
    return written


# --- checks -----------------------------------------------------------------------------------------------------


def _check_together(request: GenerateRequest) -> None:
    if not request.moves and (request.video or request.frames):
        raise UserError(f"{'--video' if request.video else '--frames'} is about a moving centre; add --move")
    if request.moves and request.grid:
        raise UserError("--grid and --move cannot be combined; --video shows all seeds side by side")
    if request.video:
        check_video(request.video)
    if request.save_layout and Path(request.save_layout).is_dir():
        raise UserError(f"--save-layout {request.save_layout}: this is a directory; name a file")


def _prepare(request: GenerateRequest, grid: tuple[int, int] | None) -> Scenes:
    """Read all inputs and check that they fit each other."""
    centers, moves = parse_centers(request.centers), parse_moves(request.moves)
    latents = load_latents(request.latents) if request.latents else {}
    kind, seeds = _which(request.seeds, grid, latents)
    names = [f"{kind}{seed:04d}" for seed in seeds]
    model = Model.load(request.network, request.device, precision=request.precision)
    if model.device.type == "cpu":
        keep_memory()
        yield_when_crowded()
    _check_steerable(model, request)
    _check_amount(model, len(seeds), grid, request)
    layout = _layout(model, request.layout, seeds)
    if layout is not None:
        layout = without(placed(layout, centers), parse_removals(request.removals)).validate()
        check_moves(layout, moves, names)
    ws = _styles(model, seeds, latents, layout, request)
    return Scenes(model, names, seeds, ws, layout, request.noise_mode, request.batch, moves, request.scale)


def _which(text: str | None, grid: tuple[int, int] | None, latents: dict[str, Tensor]) -> tuple[str, list[int]]:
    """Seeds, and what the files are named after: without --seeds, the rows of --latents or the cells of --grid."""
    cells = grid[0] * grid[1] if grid else None
    if text is not None:
        kind, seeds = "seed", int_ranges(text, SEED_LIMIT)
    elif latents:
        kind, seeds = "latent", list(range(max(map(len, latents.values()))))
    elif cells:
        kind, seeds = "seed", list(range(cells))
    else:
        raise UserError("which pictures? Give --seeds, such as 0,3,5-8")
    if grid and len(seeds) > grid[0] * grid[1]:
        raise UserError(f"{len(seeds)} pictures do not fit in --grid {grid[0]}x{grid[1]}")
    return kind, seeds


def _check_steerable(model: Model, request: GenerateRequest) -> None:
    wishes = {
        "--centers": request.centers,
        "--layout": request.layout,
        "--save-layout": request.save_layout,
        "--move": request.moves,
        "--remove": request.removals,
        "--show-heatmaps": request.show_heatmaps,
    }
    named = [option for option, value in wishes.items() if value]
    if named and not model.is_layout_conditioned:
        raise UserError(f"{named[0]}: the model {request.network} (method {model.config.method}) takes no layout")
    if request.moves and model.G.takes_layout_in_latent:
        raise UserError("--move: this model takes its layout as a part of the latent; give --centers instead")


def _check_amount(model: Model, count: int, grid: tuple[int, int] | None, request: GenerateRequest) -> None:
    """Raises UserError for what no memory holds; pictures of their own are made a batch at a time."""
    numbers = count * int(np.prod(model.G.w_shape))
    if numbers > LATENTS_LIMIT:
        raise UserError(f"{count} pictures are too many at a time; make them in several calls, with other --seeds")
    cells = grid[0] * grid[1] if grid else (request.frames or FRAMES) if request.moves else 1
    films = count if request.video else 1
    pixels = cells * films * (model.config.generator.img_resolution * request.scale) ** 2
    if pixels > PAGE_LIMIT:
        smaller = "--grid" if grid else "fewer --frames or --seeds" if request.moves else "--scale"
        raise UserError(f"a page of {pixels / 1e6:,.0f} million pixels is too large; choose a smaller {smaller}")


def _layout(model: Model, path: str | None, seeds: list[int]) -> Layout | None:
    """The layouts of the file, one a seed, or those that the model's sampler draws."""
    if path is None:
        return model.layout(seeds)
    layout = model.fitted(load_layout(path), path)
    if len(layout) not in (1, len(seeds)):
        raise UserError(f"{path} holds {len(layout)} layouts for {len(seeds)} pictures; it needs one, or one for each")
    return layout if len(layout) == len(seeds) else layout.repeat(len(seeds))


def _styles(
    model: Model, seeds: list[int], latents: dict[str, Tensor], layout: Layout | None, request: GenerateRequest
) -> Tensor:
    how: dict[str, Any] = {"truncation_psi": request.trunc, "truncation_cutoff": request.trunc_cutoff}
    how["labels"] = _labels(model, request)
    try:
        if request.restyles:
            latents = {"z": _restyled(model, seeds, latents, request.restyles)}
        return model.styles(seeds, layout=layout, **(how | latents))
    except UserError as error:
        raise UserError(f"{request.latents}: {error}" if request.latents else str(error)) from error


def _labels(model: Model, request: GenerateRequest) -> int | Tensor | None:
    """What --class says. Raises UserError when a model with labels is given none, or has no such class."""
    classes = model.config.generator.c_dim
    if classes == 0:
        if request.class_label is not None:
            raise UserError("--class: this model was trained without labels; leave it out")
        return None
    names = read_class_names(find_snapshot(request.network), classes)
    if request.class_label is None and not request.latents:
        raise UserError(f"this model was trained with labels; give a --class: {listed(classes, names)}")
    return None if request.class_label is None else parse_class(request.class_label, classes, names)


def _restyled(model: Model, seeds: list[int], latents: dict[str, Tensor], texts: tuple[str, ...]) -> Tensor:
    """z [N, n + 1, z_dim] in which some objects have the codes of other seeds."""
    shape = model.config.generator.latent_shape
    if len(shape) == 1 or "ws" in latents:
        raise UserError("--restyle needs a model of several objects (SEL indoor), and latents z, not w")
    z = latents.get("z", model.latents(seeds)).to(model.device, copy=True)
    for number, seed in parse_restyles(texts):
        if number >= shape[0]:
            last = shape[0] - 1
            raise UserError(f"--restyle {number}:{seed}: objects are 0 to {last - 1}, {last} the background")
        z[:, number] = model.latents([seed])[:, number]
    return z


# --- files ------------------------------------------------------------------------------------------------------


def _write_pictures(scenes: Scenes, show_heatmaps: bool, outdir: Path) -> list[Path]:
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


def _write_grid(scenes: Scenes, columns: int, show_heatmaps: bool, outdir: Path) -> list[Path]:
    images, folder = scenes.images(slice(None)), make_dir(outdir / GRIDS)
    written = [save_png(folder / "grid.png", image_grid(images, columns))]
    if show_heatmaps:
        written.append(save_png(folder / "grid-heatmaps.png", samples_beside_heatmaps(images, scenes.known_layout)))
    return written


def _write_strips(scenes: Scenes, request: GenerateRequest, outdir: Path) -> list[Path]:
    """A strip each; perhaps its frames beside their heatmaps; perhaps a video of all."""
    written, films, folder = [], [], make_dir(outdir / STRIPS)
    for i, name in enumerate(tqdm(scenes.names, unit="strip", disable=None)):
        images, layout = scenes.moving(i, request.frames or FRAMES)
        strip = moving_strip(images, layout, level=scenes.moves[0].level)
        written.append(save_png(folder / f"{name}.png", strip))
        if request.show_heatmaps:
            written.append(save_png(folder / f"{name}-heatmaps.png", samples_beside_heatmaps(images, layout)))
        if request.video:
            films.append(to_uint8(images).cpu())
    if request.video:
        written.append(save_video(request.video, _video_frames(torch.stack(films))))
    return written


def _video_frames(films: Tensor) -> list[np.ndarray]:
    """Films [N, frames, C, R, R] of all seeds to one grid a frame."""
    columns = square_columns(len(films))
    return [image_grid(films[:, frame], columns, smallest=VIDEO_SIDE // columns) for frame in range(films.shape[1])]
