"""From a request to pictures on disk: what generate.py does. All checks come before the first file."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import check_files, make_dir
from dnnlib.parsing import int_ranges
from dnnlib.words import counted
from torch_utils.allocator import keep_memory
from torch_utils.threads import yield_when_crowded
from training.choices import FRAMES, NoiseMode, Precision
from training.data.class_names import chosen_class
from training.data.conditions import discs, parse_text, read_label_map
from training.latent.directions import moved_along, parse_steps
from training.layouts.edits import (
    changed,
    check_moves,
    is_gradual,
    load_latents,
    parse_centers,
    parse_changes,
    parse_grid,
    parse_moves,
    parse_removals,
    parse_restyles,
    placed,
    without,
)
from training.layouts.files import load_layout, save_layout
from training.layouts.layout import Layout, concatenate
from training.pictures.series import VIDEO_SIDE, Scenes, write_film, write_grid, write_pictures, write_strips
from training.pictures.videos import check_video
from training.runs.snapshot import find_snapshot
from training.sampling import SEED_LIMIT, Model

FILM = "film.gif"  # of --interpolate, where --video names no other
_CHANGE = "something that changes; add --move, or a range such as --strength=0=1:0"
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
    text: str | None = None
    label_map: str | None = None
    noise_mode: NoiseMode = "const"
    latents: str | None = None
    centers: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    save_layout: str | None = None
    spreads: tuple[str, ...] = ()
    strengths: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    restyles: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    frames: int | None = None
    interpolate: int | None = None
    video: str | None = None
    show_heatmaps: bool = False
    grid: str | None = None
    scale: int = 1
    batch: int = 32
    precision: Precision = "trained"
    device: str = "auto"

    @property
    def has_strips(self) -> bool:
        """Whether each picture is to be shown while something of it changes."""
        return self.interpolate is None and (bool(self.moves) or is_gradual((*self.spreads, *self.strengths)))


def generate(request: GenerateRequest) -> list[Path]:
    """Write the pictures; returns their paths. Raises UserError, before anything is written, on bad input."""
    _check_together(request)
    grid = parse_grid(request.grid) if request.grid else None
    scenes = _prepare(request, grid)
    outdir = make_dir(request.outdir)
    for path in filter(None, (request.save_layout, request.video)):
        make_dir(Path(path).parent)
    if request.interpolate:
        written = write_film(scenes, request.interpolate, request.show_heatmaps, _film_path(request))
    elif request.has_strips:
        written = write_strips(scenes, request.frames or FRAMES, request.show_heatmaps, request.video, outdir)
    elif grid:
        written = write_grid(scenes, grid[0], request.show_heatmaps, outdir)
    else:
        written = write_pictures(scenes, request.show_heatmaps, outdir)
    if request.save_layout:
        save_layout(request.save_layout, scenes.known_layout)
        written.append(Path(request.save_layout))
    return written


# --- checks -----------------------------------------------------------------------------------------------------


def _check_together(request: GenerateRequest) -> None:
    if request.frames and not request.has_strips:
        raise UserError(f"--frames is about {_CHANGE} (--interpolate has a number of its own)")
    if request.video and not request.has_strips and not request.interpolate:
        raise UserError(f"--video is about {_CHANGE}, or --interpolate")
    if request.interpolate and request.moves:
        raise UserError("--move and --interpolate make two films; for one, give the end of the move as a --layout")
    if request.grid and (request.has_strips or request.interpolate):
        raise UserError(f"--grid and {_film_option(request)} cannot be combined; --video shows all seeds side by side")
    if request.video or request.interpolate:
        check_video(_film_path(request))
    check_files([*filter(None, (request.video, request.save_layout))])


def _film_path(request: GenerateRequest) -> Path:
    return Path(request.video) if request.video else Path(request.outdir) / FILM


def _film_option(request: GenerateRequest) -> str:
    """The option that asks for more than pictures."""
    return "--interpolate" if request.interpolate else "--move" if request.moves else "a range of spreads or strengths"


def _prepare(request: GenerateRequest, grid: tuple[int, int] | None) -> Scenes:
    """Read all inputs and check that they fit each other."""
    centers, moves, steps = parse_centers(request.centers), parse_moves(request.moves), parse_steps(request.directions)
    changes = [*parse_changes("spread", request.spreads), *parse_changes("strength", request.strengths)]
    latents = load_latents(request.latents) if request.latents else {}
    kind, seeds = _which(request.seeds, grid, latents)
    names = _names(kind, seeds)
    model = Model.load(request.network, request.device, precision=request.precision)
    if model.device.type == "cpu":
        keep_memory()
        yield_when_crowded()
    _check_steerable(model, request)
    layout = _given_layout(model, request.layouts)
    if request.interpolate:
        seeds = _keyframes(seeds, layout)
    _check_amount(model, len(seeds), grid, request)
    layout = model.layout(seeds) if layout is None else _one_each(layout, seeds, request.layouts)
    if layout is not None:
        layout = without(placed(layout, centers), parse_removals(request.removals))
        layout = changed(layout, changes).validate()
        check_moves(layout, moves, names)
    ws = moved_along(_styles(model, seeds, latents, layout, request), steps, model.config.name)
    how = request.noise_mode, request.batch, moves, changes, request.scale
    return Scenes(model, names, seeds, ws, layout, *how)


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


def _names(kind: str, seeds: list[int]) -> list[str]:
    """Of files; a seed that is there again gets a number: seed0007, seed0007-2."""
    seen: Counter[int] = Counter()
    names = []
    for seed in seeds:
        seen[seed] += 1
        names.append(f"{kind}{seed:04d}" + (f"-{seen[seed]}" if seen[seed] > 1 else ""))
    return names


def _check_steerable(model: Model, request: GenerateRequest) -> None:
    wishes = {
        "--centers": request.centers,
        "--layout": request.layouts,
        "--save-layout": request.save_layout,
        "--move": request.moves,
        "--remove": request.removals,
        "--spread": request.spreads,
        "--strength": request.strengths,
        "--show-heatmaps": request.show_heatmaps,
    }
    named = [option for option, value in wishes.items() if value]
    if named and not model.is_layout_conditioned:
        raise UserError(f"{named[0]}: the model {request.network} (method {model.config.method}) takes no layout")
    gradual = request.moves or is_gradual((*request.spreads, *request.strengths))
    if gradual and model.G.takes_layout_in_latent:
        option = "--move" if request.moves else "a range"
        raise UserError(f"{option}: this model takes its layout as a part of the latent; give --centers instead")


def _check_amount(model: Model, count: int, grid: tuple[int, int] | None, request: GenerateRequest) -> None:
    """Raises UserError for what no memory holds; pictures of their own are made a batch at a time."""
    numbers = count * int(np.prod(model.G.w_shape))
    if numbers > LATENTS_LIMIT:
        raise UserError(f"{count} pictures are too many at a time; make them in several calls, with other --seeds")
    cells = _cells(count, grid, request)
    side = model.config.generator.img_resolution * request.scale
    pixels = cells * (max(side, VIDEO_SIDE) if request.interpolate else side) ** 2
    if pixels > PAGE_LIMIT:
        kind, smaller = "page", f"a smaller {'--grid' if grid else '--scale'}"
        if request.interpolate:
            kind, smaller = "film", "a smaller --interpolate, or fewer keyframes"
        elif request.has_strips:
            smaller = "fewer --frames or --seeds"
        raise UserError(f"a {kind} of {pixels / 1e6:,.0f} million pixels is too large; choose {smaller}")


def _cells(count: int, grid: tuple[int, int] | None, request: GenerateRequest) -> int:
    """How many pictures are in memory at the same time, as a page or a film."""
    if request.interpolate:
        return (count - 1) * request.interpolate + 1
    if request.has_strips:
        return (request.frames or FRAMES) * (count if request.video else 1)
    return grid[0] * grid[1] if grid else 1


def _given_layout(model: Model, paths: tuple[str, ...]) -> Layout | None:
    """The layouts of all files, in order; None where there are no files."""
    layouts = [model.fitted(load_layout(path), path) for path in paths]
    if len({None if each.noise is None else each.noise.kind for each in layouts}) > 1:
        raise UserError(f"{', '.join(paths)}: only some of these layouts have noise; they cannot go together")
    return concatenate(layouts) if layouts else None


def _one_each(layout: Layout, seeds: list[int], paths: tuple[str, ...]) -> Layout:
    """Layouts for so many pictures: one each, or the only one for all."""
    if len(layout) not in (1, len(seeds)):
        hold = f"{', '.join(paths)} hold{'s' if len(paths) == 1 else ''} {counted(len(layout), 'layout')}"
        raise UserError(f"{hold} for {counted(len(seeds), 'picture')}; it needs one, or one for each")
    return layout if len(layout) == len(seeds) else layout.repeat(len(seeds))


def _keyframes(seeds: list[int], layout: Layout | None) -> list[int]:
    """Seeds, one a keyframe: a single one serves all layouts. Raises UserError where there is but one of either."""
    count = max(len(seeds), 1 if layout is None else len(layout))
    if count == 1:
        raise UserError("--interpolate needs two keyframes or more: several --seeds, or several layouts")
    return seeds * count if len(seeds) == 1 else seeds


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
    classes, text, condition = model.config.generator.c_dim, request.class_label, model.config.data.condition
    for name, kind, given in (("--text", "text", request.text), ("--label-map", "label-map", request.label_map)):
        if given is not None and (condition != kind or classes == 0):
            raise UserError(f"{name}: this model (method {model.config.method}) makes no images of that; leave it out")
    if classes > 0 and condition != "labels":
        return _condition(model, request)
    if classes > 0 and text is None and request.latents:
        return None
    return chosen_class(text, classes, find_snapshot(request.network))


def _condition(model: Model, request: GenerateRequest) -> Tensor | None:
    """The row [1, c_dim] of what --text or --label-map says."""
    settings, names = model.config.generator, model.config.data.class_names
    by_text = model.config.data.condition == "text"
    if request.class_label is not None:
        raise UserError(f"--class: this model makes images of a {'text' if by_text else 'label map'}; leave it out")
    given = request.text if by_text else request.label_map
    if given is None:
        if request.latents:
            return None
        raise UserError('this model makes images of a text; give one, such as --text="a red ball"' if by_text else
                        "this model makes images of a label map; give --label-map=FILE.png or discs")  # fmt: skip
    if by_text:
        row = parse_text(given, names, settings.c_dim)
    elif Path(given).suffix.lower() == ".png":
        row = read_label_map(given, names, settings.img_resolution)
    else:
        row = discs(given, names, settings.img_resolution)
    return torch.from_numpy(row.reshape(1, -1)).float()


def _restyled(model: Model, seeds: list[int], latents: dict[str, Tensor], texts: tuple[str, ...]) -> Tensor:
    """z [N, n + 1, z_dim] in which some objects have the codes of other seeds."""
    shape = model.config.generator.latent_shape
    if len(shape) == 1 or "ws" in latents:
        raise UserError("--restyle needs a model of several objects (SEL indoor), and latents z, not w")
    z = model.checked_z(latents.get("z", model.latents(seeds))).to(model.device, copy=True)
    for number, seed, other in parse_restyles(texts):
        if max(number, other) >= shape[0]:
            last = shape[0] - 1
            said = f"{number}:{seed}" if other == number else f"{number}:{seed}:{other}"
            raise UserError(f"--restyle {said}: objects are 0 to {last - 1}, {last} the background")
        z[:, number] = model.latents([seed])[:, other]
    return z
