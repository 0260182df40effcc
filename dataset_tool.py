"""Make data sets: convert images, compose pictures from cut-outs, or draw toy scenes.

    python dataset_tool.py --source=photos/ --dest=photos.zip --transform=center-crop --width=256 --height=256
    python dataset_tool.py toy --dest=critters.zip --kind=critters --images=5000 --resolution=32
    python dataset_tool.py compose --cutouts=stamps/ --dest=animals.zip --images=8000 --resolution=32
"""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from dnnlib.cli import PATH, SEED, Group, Int, Number, option
from dnnlib.errors import UserError
from dnnlib.parsing import shown
from dnnlib.words import counted, first_of
from training.data.conversion import convert
from training.data.image_files import is_power_of_two
from training.data.image_formats import Limits, limits_set
from training.data.sources import KNOWN, open_source
from training.data.transforms import CROPS, FILTERS, Transform, parse_color
from training.data.writer import DatasetWriter, open_writer
from training.scenes.captions import caption
from training.scenes.compose import Placement, Selection, compose, load_cutouts, load_photos
from training.scenes.procedural import KINDS, SEVERAL_OBJECTS, Scene
from training.scenes.several import Arrangement, Grounds, compose_several

SOURCE, SHAPE, LIMITS = "Pictures", "Their shape", "What is read"
OUTPUT, OBJECTS, GROUNDS, FILES = "Output", "Objects", "Behind them", "Which cut-outs"
LARGEST_SIDE, MOST = 4096, 10**8  # pixels, and pictures, that are drawn or composed

_LIMIT = Int(1, 10**15 - 1)
_dest = partial(
    option, "--dest", group=OUTPUT, metavar="PATH", type=PATH, help="Zip archive (.zip) or folder to write."
)


def _drawn(images: int) -> Callable:
    """The options of commands that make pictures; `images`: how many by default."""

    def decorate(command: Callable) -> Callable:
        for each in (
            option("--seed", group=OUTPUT, type=SEED, default=0, show_default=True,
                   help="Other seeds, other pictures."),
            option("--resolution", group=OUTPUT, type=Int(4, LARGEST_SIDE), metavar="PIXELS", default=32,
                   show_default=True, help="Their side, a power of two."),
            option("--images", group=OUTPUT, type=Int(1, MOST), metavar="N", default=images, show_default=True,
                   help="How many pictures."),
            _dest(required=True),
        ):  # fmt: skip
            command = each(command)
        return command

    return decorate


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
@option("--source", group=SOURCE, metavar="PATH", type=PATH, help=f"Images to convert: {KNOWN}.")
@option("--max-images", group=SOURCE, type=Int(1), metavar="N", show_default="all",
        help="Take the first N images only.")
@option("--strict", group=SOURCE, is_flag=True, help="Stop at the first damaged image instead of leaving it out.")
@option("--transform", group=SHAPE, type=click.Choice(CROPS), show_default="none: they have to be squares",
        help="How pictures become squares: cut out the middle (-wide: of a wide picture, padded above and below), or "
             "pad the whole picture.")
@option("--background", group=SHAPE, metavar="COLOR", show_default="white under, black around",
        help="Under transparent pictures and around padded ones: a name or #rrggbb.")
@option("--width", group=SHAPE, type=Int(1), metavar="PIXELS", show_default="their own",
        help="Resize to this width, a power of two.")
@option("--height", group=SHAPE, type=Int(1), metavar="PIXELS", show_default="the width",
        help="Resize to this height.")
@option("--resize-filter", group=SHAPE, type=click.Choice(list(FILTERS)), default="lanczos", show_default=True,
        help="How pixels are averaged in resizing.")
@option("--max-pixels", group=LIMITS, type=_LIMIT, metavar="N",
        show_default=f"{Limits.pixels}, or STEERGAN_MAX_PIXELS", help="Refuse pictures of more pixels.")
@option("--max-text", group=LIMITS, type=_LIMIT, metavar="BYTES",
        show_default=f"{Limits.text}, or STEERGAN_MAX_TEXT",
        help="Refuse pictures with longer comments or color profiles.")
@_dest()
def main(
    ctx: click.Context, source: str | None, dest: str | None, max_images: int | None, transform: str | None,
    background: str | None, width: int | None, height: int | None, resize_filter: str, max_pixels: int | None,
    max_text: int | None, strict: bool,
) -> None:  # fmt: skip
    """Convert images into a data set for training: 8-bit PNG files of one size, with dataset.json.

    Labels come from a dataset.json in the source or, without one, from its sub-folders. The
    sub-commands make pictures instead of converting them, with their ground truth.
    """
    ctx.with_resource(limits_set(max_pixels, max_text))
    if ctx.invoked_subcommand is not None:
        return
    if not source or not dest:
        raise UserError("--source and --dest are both needed; see --help")
    _keep_apart(dest, source=source)
    color = None if background is None else parse_color(background)
    wanted = Transform(width, height, transform, resize_filter, color)
    summary = convert(open_source(source, max_images), dest, wanted, strict, tqdm.write)
    click.echo(f"{dest}: {summary}")


@main.command()
@option("--kind", group=OUTPUT, type=click.Choice(list(KINDS)), default="critters", show_default=True,
        help="One animal, ball or face a picture, rooms with two to four things, or playrooms with three large toys.")
@option("--plain", group=OUTPUT, is_flag=True, help="One color behind the animal, ball or face, not a gradient of two.")
@option("--objects", group=OUTPUT, type=Int(1, 5), metavar="N", show_default="the kind's",
        help="So many things in every room.")
@option("--masks", group=OUTPUT, is_flag=True, help="Which pixels show each object, in dataset.json.")
@option("--captions", group=OUTPUT, is_flag=True,
        help="Every picture in words, in dataset.json; toys of playrooms have colors with names.")
@_drawn(images=5000)
def toy(
    dest: str, kind: str, plain: bool, objects: int | None, images: int, resolution: int, seed: int, masks: bool,
    captions: bool,
) -> None:
    """Draw simple scenes whose ground truth is known."""
    _check_resolution(resolution)
    if objects is not None and kind not in SEVERAL_OBJECTS:
        raise UserError(f"--objects: a picture of --kind={kind} has one; use --kind={' or '.join(SEVERAL_OBJECTS)}")
    if plain and kind in SEVERAL_OBJECTS:
        raise UserError(f"--plain: a picture of --kind={kind} has a wall and a floor; leave it out")
    options: dict[str, int] = {"plain": True} if plain else {}
    if objects is not None:
        options["objects"] = objects
    options |= {"named": True} if captions and kind == "playrooms" else {}
    with open_writer(dest) as writer:
        _fill(writer, images, seed, lambda rng: KINDS[kind](rng, resolution, **options), masks, captions)
    _report(dest, images, resolution)


@main.command("compose")
@option("--cutouts", group=FILES, required=True, type=PATH, metavar="FOLDER",
        help="Pictures of one object each, with transparent surroundings: a folder, a .zip or a .sh3f file.")
@option("--include", group=FILES, multiple=True, metavar="TEXT",
        help="Use only files with this in their path (repeatable).")
@option("--exclude", group=FILES, multiple=True, metavar="TEXT", default=["cartoon"], show_default=True,
        help="Leave out files with this in their path (repeatable).")
@option("--min-coverage", group=FILES, type=Number(0, 1), default=0.25, show_default=True,
        help="Leave out objects that fill less of their bounding box than this fraction.")
@option("--objects", group=OBJECTS, metavar="N", show_default="one",
        help="So many objects a picture, such as 3, or from 2 to 4: 2-4.")
@option("--min-size", group=OBJECTS, type=Number(0, 1), default=0.4, show_default=True,
        help="Least length of an object's larger side, as a fraction of the picture's.")
@option("--max-size", group=OBJECTS, type=Number(0, 1), default=0.6, show_default=True,
        help="Greatest length of it.")
@option("--apart", group=OBJECTS, type=Number(0, 1), default=0.3, show_default=True,
        help="With --objects: least distance of their middles, as a fraction of the picture's side.")
@option("--margin", group=OBJECTS, type=Number(0, 1), default=0.16, show_default=True,
        help="With --objects: least distance of their middles from the border.")
@option("--masks", group=OBJECTS, is_flag=True,
        help="With --objects: which pixels show each object, in dataset.json.")
@option("--captions", group=OBJECTS, is_flag=True, help="Every picture in words, in dataset.json.")
@option("--backgrounds", group=GROUNDS, type=PATH, metavar="FOLDER", show_default="two-color gradients",
        help="Photographs to put objects on.")
@option("--floors", group=GROUNDS, type=PATH, metavar="FOLDER",
        help="Pictures of floors, to lie below a horizon; takes --objects.")
@option("--subject-contrast", group=GROUNDS, type=Number(0, 6), default=0.5, show_default=True,
        help="Least difference of gradients from the object's mean color, summed over channels in [-1, 1].")
@_drawn(images=8000)
def compose_command(
    cutouts: str, dest: str, images: int, resolution: int, seed: int, backgrounds: str | None, floors: str | None,
    objects: str | None, apart: float, margin: float, masks: bool, captions: bool, min_size: float, max_size: float,
    include: tuple[str, ...], exclude: tuple[str, ...], min_coverage: float, subject_contrast: float,
) -> None:  # fmt: skip
    """Put cut-outs of objects on backgrounds, one a picture or several, at random places and sizes."""
    count = _object_count(objects, floors, masks)
    _check_resolution(resolution)
    _keep_apart(dest, cutouts=cutouts, backgrounds=backgrounds, floors=floors)
    placement = Placement(resolution, min_size, max_size, subject_contrast)
    found, skipped = load_cutouts(Path(cutouts), Selection(include, exclude, min_coverage), placement)
    _tell_skipped(cutouts, len(found), skipped)
    photos, ground = _photos(backgrounds, resolution, "--backgrounds"), _photos(floors, resolution, "--floors")
    things = list(found.values())
    if count is None:
        def make(rng: np.random.Generator) -> Scene:
            return compose(rng, things, placement, photos)
    else:
        arrangement = Arrangement(count, margin, apart, masks)

        def make(rng: np.random.Generator) -> Scene:
            return compose_several(rng, things, placement, arrangement, Grounds(photos, ground))
    with open_writer(dest) as writer:
        writer.metadata["sources"] = list(found)
        _fill(writer, images, seed, make, masks, captions)
    _report(dest, images, resolution)


def _keep_apart(dest: str, **sources: str | None) -> None:
    """Raises UserError when the data set is to take the place of what it is made from."""
    for name, source in sources.items():
        if source is not None and os.path.exists(source) and os.path.exists(dest) and os.path.samefile(source, dest):
            raise UserError(f"--dest={dest} is what --{name} names, and would be overwritten; choose another --dest")


def _object_count(text: str | None, floors: str | None, masks: bool) -> tuple[int, int] | None:
    """(least, most) of '3' or '2-4'; None without --objects. Raises UserError for any other form."""
    if text is None:
        if floors is not None or masks:
            raise UserError(f"{'--floors' if floors is not None else '--masks'} takes --objects, such as --objects=3")
        return None
    match = re.fullmatch(r"([1-9][0-9]?)(?:-([1-9][0-9]?))?", text)
    least, most = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if least > most:
        raise UserError(f"--objects '{shown(text)}' must be a number from 1 to 99, or two such as 2-4")
    return least, most


def _photos(place: str | None, resolution: int, name: str) -> list:
    if place is None:
        return []
    photos, skipped = load_photos(Path(place), resolution, name)
    _tell_skipped(place, len(photos), skipped)
    return list(photos.values())


def _fill(
    writer: DatasetWriter,
    images: int,
    seed: int,
    make: Callable[[np.random.Generator], Scene],
    masks: bool,
    captions: bool,
) -> None:
    """Write pictures that each depend on the seed and their own number only."""
    for i in tqdm(range(images), "drawing", unit=" images", disable=None):
        pixels, scene = make(np.random.default_rng([seed, i]))
        if not masks:
            scene = {"objects": [{key: thing[key] for key in thing if key != "mask"} for thing in scene["objects"]]}
        writer.add(pixels, scene=scene, caption=caption(scene) if captions else None)


def _check_resolution(resolution: int) -> None:
    if not is_power_of_two(resolution):
        raise UserError(f"--resolution {resolution} must be a power of two: 4, 8, 16, 32, ...")


def _tell_skipped(folder: str, used: int, skipped: list[tuple[str, str]]) -> None:
    first = f" ({first_of([f'{name}: {reason}' for name, reason in skipped], sep='; ')})" if skipped else ""
    click.echo(f"{folder}: {counted(used, 'picture')} used, {len(skipped)} skipped{first}")


def _report(dest: str, images: int, resolution: int) -> None:
    drawn = counted(images, "image")
    click.echo(f"{dest}: {drawn}, {resolution}x{resolution}, RGB, no labels, ground truth in dataset.json")


if __name__ == "__main__":
    main()
