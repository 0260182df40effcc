"""From a request to files on disk: what projector.py does. All checks come before the first file."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_by, write_json
from dnnlib.words import counted
from editing.inversion import Distance, InversionOptions, InversionStep, invert
from editing.own_pictures import find_pictures, read_pictures
from torch_utils.allocator import keep_memory
from torch_utils.threads import yield_when_crowded
from training.layouts.files import save_layout
from training.layouts.layout import concatenate
from training.pictures.grids import image_grid, save_png
from training.pictures.videos import check_video, save_video
from training.sampling import Model, to_uint8

LATENTS, LAYOUT, RESULTS, COMPARISON = "projected.npz", "layout.json", "projected.json", "comparison.png"
VIDEO_FRAMES = 100  # about so many, whatever the number of steps
VIDEO_SIDE = 128  # of a picture in it: smaller ones are enlarged, none is reduced to less
VIDEO_PIXELS = 2**28  # of all frames together
FRAMES_PER_SECOND = 20


@dataclass(frozen=True)
class ProjectionRequest:
    """What projector.py was asked for, in the form of its options."""

    network: str
    targets: tuple[str, ...]
    outdir: str
    options: InversionOptions
    video: str | None = None
    batch: int = 16
    device: str = "auto"


def project(request: ProjectionRequest, make_distance: Callable[[Model], Distance | None]) -> list[Path]:
    """Find latents and layouts of pictures and write them; returns the paths written.

    make_distance: the perceptual part of the loss for a model, None for random features. Raises UserError, before
    anything is written, on bad input.
    """
    if request.video:
        check_video(request.video)
    paths = find_pictures(request.targets)
    names = _names(paths)
    _check_apart(request, paths, names)
    model = Model.load(request.network, request.device)
    if model.device.type == "cpu":
        keep_memory()
        yield_when_crowded()
    target = read_pictures(paths, model)
    factor = _video_factor(len(target), model.config.generator.img_resolution) if request.video else 1
    distance = make_distance(model)
    outdir = make_dir(request.outdir)
    if request.video:
        make_dir(Path(request.video).parent)
    frames: list[list[Tensor]] = []
    found = list(_batches(model, target, request, distance, frames, factor))
    film = _film(F.avg_pool2d(target, factor), frames) if request.video else []
    return _write(request, outdir, names, paths, target, _joined(found), film)


def _batches(
    model: Model,
    target: Tensor,
    request: ProjectionRequest,
    distance: Distance | None,
    frames: list[list[Tensor]],
    factor: int,
) -> Iterator[InversionStep]:
    """The last step of each batch; `frames` is filled with pictures uint8 [n, C, r, r], reduced by `factor`, where
    there is to be a video."""
    steps = request.options.steps
    every = max(1, steps // VIDEO_FRAMES)
    with tqdm(total=-(-len(target) // request.batch) * (steps + 1), unit="step", disable=None) as bar:
        for start in range(0, len(target), request.batch):
            now, shown, done = target[start : start + request.batch], list[Tensor](), -1
            for step in invert(model, now, request.options, distance):
                if request.video and (step.step % every == 0 or step.step == steps):
                    shown.append(to_uint8(F.avg_pool2d(step.image, factor)).cpu())
                bar.set_postfix_str(f"rms {step.rms.mean().item():.4f}")
                bar.update(step.step - done)
                done = step.step
            frames.append(shown)
            yield step


def _joined(parts: list[InversionStep]) -> InversionStep:
    """One step of the pictures of all batches, on the CPU."""
    layouts = [part.layout for part in parts if part.layout is not None]
    layout = concatenate(layouts).to("cpu") if layouts else None
    together = zip(*((part.image, part.ws, part.loss, part.rms) for part in parts), strict=True)
    image, ws, loss, rms = (torch.cat(tensors).cpu() for tensors in together)
    return InversionStep(parts[-1].step, image, ws, layout, loss, rms)


def _names(paths: Sequence[Path]) -> list[str]:
    """Stems of the files, numbered from the second on where several are the same, or that of COMPARISON."""
    names: dict[str, None] = {}
    taken = {Path(COMPARISON).stem}  # in lower case, as some disks do not tell a.png and A.png apart
    for path in paths:
        name, number = path.stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{path.stem}-{number}"
        taken.add(name.lower())
        names[name] = None
    return list(names)


def _check_apart(request: ProjectionRequest, paths: Sequence[Path], names: Sequence[str]) -> None:
    """Raises UserError where what is written would take the place of a picture that is looked for, or of a folder."""
    outdir = Path(request.outdir)
    pictures = [outdir / f"{name}.png" for name in names]
    written = [*pictures, *(outdir / name for name in (LATENTS, LAYOUT, RESULTS, COMPARISON))]
    for path in written:
        if path.is_dir():
            raise UserError(f"{path}: this is a directory, and a file of that name is written; choose another --outdir")
    video = [Path(request.video)] if request.video else []
    places = {os.path.realpath(path) for path in (*written, *video)}
    for path in paths:
        if os.path.realpath(path) in places:
            raise UserError(f"{path}: a file of that name is written, too; choose another --outdir or --video")


def _video_factor(count: int, resolution: int) -> int:
    """By which pictures are reduced in a video of so many. Raises UserError for one that no memory holds."""
    factor = 1
    while (pixels := 2 * count * max(resolution // factor, VIDEO_SIDE) ** 2 * (VIDEO_FRAMES + 1)) > VIDEO_PIXELS:
        if resolution // factor < 2 * VIDEO_SIDE:
            much = f"{pixels / 1e6:,.0f} million pixels"
            raise UserError(f"a video of {counted(count, 'picture')} has {much}; leave --video out, or take fewer")
        factor *= 2
    return factor


def _write(
    request: ProjectionRequest,
    outdir: Path,
    names: list[str],
    paths: list[Path],
    target: Tensor,
    found: InversionStep,
    film: list[np.ndarray],
) -> list[Path]:
    written = [_save_latents(outdir / LATENTS, found.ws)]
    if found.layout is not None:
        save_layout(outdir / LAYOUT, found.layout)
        written.append(outdir / LAYOUT)
    pairs = torch.stack([target, found.image], 1)  # [N, 2, C, R, R]
    for name, pair in zip(names, pairs, strict=True):
        written.append(save_png(outdir / f"{name}.png", image_grid(pair, 2)))
    written.append(save_png(outdir / COMPARISON, image_grid(pairs.flatten(0, 1), columns=2 * _columns(len(names)))))
    rows = zip(names, paths, found.rms.tolist(), found.loss.tolist(), strict=True)
    about = [{"name": name, "target": str(path), "rms": rms, "loss": loss} for name, path, rms, loss in rows]
    write_json(outdir / RESULTS, {"space": request.options.space, "steps": found.step, "pictures": about})
    written.append(outdir / RESULTS)
    if request.video:
        written.append(save_video(request.video, film, FRAMES_PER_SECOND))
    return written


def _save_latents(path: Path, ws: Tensor) -> Path:
    """As `generate.py --latents` reads it: array w [N, *w_shape]."""
    return write_by(path, lambda file: np.savez(file, w=ws.numpy()))


def _columns(count: int) -> int:
    return max(1, round((count / 2) ** 0.5))


def _film(target: Tensor, frames: list[list[Tensor]]) -> list[np.ndarray]:
    """Targets [N, C, r, r] and pictures found so far, side by side for each, a page a frame."""
    columns = 2 * _columns(len(target))
    pages, longest = [], max(map(len, frames))
    stays = [each + each[-1:] * (longest - len(each)) for each in frames]  # a batch may have been done before others
    for now in zip(*stays, strict=True):
        pairs = torch.stack([to_uint8(target), torch.cat(now)], 1).flatten(0, 1)
        pages.append(image_grid(pairs, columns, smallest=VIDEO_SIDE))
    return pages
