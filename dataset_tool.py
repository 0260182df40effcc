"""Make data sets: convert images, compose pictures from cut-outs, or draw toy scenes.

    python dataset_tool.py --source=photos/ --dest=photos.zip --transform=center-crop --width=256 --height=256
    python dataset_tool.py toy --dest=critters.zip --kind=critters --images=5000 --resolution=32
    python dataset_tool.py compose --cutouts=stamps/ --dest=animals.zip --images=8000 --resolution=32
"""

import re
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from dnnlib.cli import Group
from dnnlib.errors import UserError
from dnnlib.parsing import shown
from training.data.conversion import convert
from training.data.image_files import is_power_of_two
from training.data.opening import Limits, limits_set
from training.data.sources import KNOWN, open_source
from training.data.transforms import CROPS, FILTERS, Transform, parse_color
from training.data.writer import DatasetWriter, open_writer
from training.scenes.captions import caption
from training.scenes.compose import Placement, Selection, compose, load_cutouts, load_photos
from training.scenes.procedural import KINDS, SEVERAL_OBJECTS
from training.scenes.several import Arrangement, Grounds, compose_several

_SHOWN_SKIPPED = 20
_LIMIT = click.IntRange(1, 10**15 - 1)


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
@click.option("--source", metavar="PATH", help=f"Images to convert: {KNOWN}.")
@click.option("--dest", metavar="PATH", help="Zip archive (.zip) or folder to write.")
@click.option("--max-images", type=click.IntRange(min=1), metavar="N", help="Take the first N images only.")
@click.option("--transform", type=click.Choice(CROPS), help="How pictures become squares: cut out the middle (-wide: "
              "of a wide picture, padded above and below), or pad the whole picture.")
@click.option("--background", metavar="COLOR", help="Under transparent pictures and around padded ones: a name or "
              "#rrggbb. [default: white under, black around]")
@click.option("--width", type=click.IntRange(min=1), metavar="PIXELS", help="Resize to this width, a power of two.")
@click.option("--height", type=click.IntRange(min=1), metavar="PIXELS", help="Resize to this height.")
@click.option("--resize-filter", type=click.Choice(list(FILTERS)), default="lanczos", show_default=True,
              help="How pixels are averaged in resizing.")
@click.option("--max-pixels", type=_LIMIT, metavar="N", help="Refuse pictures of more pixels. "
              f"[default: {Limits.pixels}, or STEERGAN_MAX_PIXELS]")
@click.option("--max-text", type=_LIMIT, metavar="BYTES", help="Refuse pictures with longer comments or color "
              f"profiles. [default: {Limits.text}, or STEERGAN_MAX_TEXT]")
@click.option("--strict", is_flag=True, help="Stop at the first damaged image instead of leaving it out.")
def main(ctx, source, dest, max_images, transform, background, width, height, resize_filter, max_pixels, max_text,
         strict):
    """Convert images into a data set for training: 8-bit PNG files of one size, with dataset.json.

    Labels come from a dataset.json in the source or, without one, from its sub-folders. The
    sub-commands make pictures instead of converting them, with their ground truth.
    """
    ctx.with_resource(limits_set(max_pixels, max_text))
    if ctx.invoked_subcommand is not None:
        return
    if not source or not dest:
        raise UserError("--source and --dest are both needed; see --help")
    color = None if background is None else parse_color(background)
    wanted = Transform(width, height, transform, resize_filter, color)
    summary = convert(open_source(source, max_images), dest, wanted, strict, tqdm.write)
    click.echo(f"{dest}: {summary}")


@main.command()
@click.option("--dest", required=True, metavar="PATH", help="Zip archive (.zip) or folder to write.")
@click.option("--kind", type=click.Choice(list(KINDS)), default="critters", show_default=True,
              help="One animal or face a picture, rooms with two to four things, or playrooms with three large toys.")
@click.option("--objects", type=click.IntRange(1, 5), metavar="N", help="So many things in every room.")
@click.option("--images", type=click.IntRange(min=1), default=5000, show_default=True, help="How many pictures.")
@click.option("--resolution", type=int, default=32, show_default=True, help="Their side in pixels, a power of two.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Other seeds, other pictures.")
@click.option("--masks", is_flag=True, help="Which pixels show each object, in dataset.json.")
@click.option("--captions", is_flag=True, help="Every picture in words, in dataset.json; toys of playrooms have colors "
              "with names.")
def toy(dest, kind, objects, images, resolution, seed, masks, captions):
    """Draw simple scenes whose ground truth is known."""
    _check_resolution(resolution)
    if objects is not None and kind not in SEVERAL_OBJECTS:
        raise UserError(f"--objects: a picture of --kind={kind} has one; use --kind={' or '.join(SEVERAL_OBJECTS)}")
    options = {} if objects is None else {"objects": objects}
    options |= {"named": True} if captions and kind == "playrooms" else {}
    with open_writer(dest) as writer:
        _fill(writer, images, seed, lambda rng: KINDS[kind](rng, resolution, **options), masks, captions)
    _report(dest, images, resolution)


@main.command("compose")
@click.option("--cutouts", required=True, type=click.Path(path_type=Path), metavar="FOLDER",
              help="Pictures of one object each, with transparent surroundings: a folder, a .zip or a .sh3f file.")
@click.option("--dest", required=True, metavar="PATH", help="Zip archive (.zip) or folder to write.")
@click.option("--images", type=click.IntRange(min=1), default=8000, show_default=True, help="How many pictures.")
@click.option("--resolution", type=int, default=32, show_default=True, help="Their side in pixels, a power of two.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Other seeds, other pictures.")
@click.option("--backgrounds", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Photographs to put objects on, instead of two-colour gradients.")
@click.option("--floors", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Pictures of floors, to lie below a horizon; takes --objects.")
@click.option("--objects", metavar="N", help="So many objects a picture, such as 3, or from 2 to 4: 2-4.")
@click.option("--apart", type=float, default=0.3, show_default=True,
              help="With --objects: least distance of their middles, as a fraction of the picture's side.")
@click.option("--margin", type=float, default=0.16, show_default=True,
              help="With --objects: least distance of their middles from the border.")
@click.option("--masks", is_flag=True, help="With --objects: which pixels show each object, in dataset.json.")
@click.option("--captions", is_flag=True, help="Every picture in words, in dataset.json.")
@click.option("--min-size", type=float, default=0.4, show_default=True,
              help="Least length of an object's larger side, as a fraction of the picture's.")
@click.option("--max-size", type=float, default=0.6, show_default=True, help="Greatest length of it.")
@click.option("--include", multiple=True, metavar="TEXT", help="Use only files with this in their path (repeatable).")
@click.option("--exclude", multiple=True, metavar="TEXT", default=["cartoon"], show_default=True,
              help="Leave out files with this in their path (repeatable).")
@click.option("--min-coverage", type=click.FloatRange(0, 1), default=0.25, show_default=True,
              help="Leave out objects that fill less of their bounding box than this fraction.")
@click.option("--subject-contrast", type=click.FloatRange(0, 6), default=0.5, show_default=True,
              help="Least difference of gradients from the object's mean colour, summed over channels in [-1, 1].")
def compose_command(cutouts, dest, images, resolution, seed, backgrounds, floors, objects, apart, margin, masks,
                    captions, min_size, max_size, include, exclude, min_coverage, subject_contrast):
    """Put cut-outs of objects on backgrounds, one a picture or several, at random places and sizes."""
    count = _object_count(objects, floors, masks)
    _check_resolution(resolution)
    placement = Placement(resolution, min_size, max_size, subject_contrast)
    found, skipped = load_cutouts(cutouts, Selection(include, exclude, min_coverage), placement)
    _tell_skipped(cutouts, len(found), skipped)
    photos, ground = _photos(backgrounds, resolution, "--backgrounds"), _photos(floors, resolution, "--floors")
    things = list(found.values())
    if count is None:
        def make(rng):
            return compose(rng, things, placement, photos)
    else:
        arrangement = Arrangement(count, margin, apart, masks)

        def make(rng):
            return compose_several(rng, things, placement, arrangement, Grounds(photos, ground))
    with open_writer(dest) as writer:
        writer.metadata["sources"] = list(found)
        _fill(writer, images, seed, make, masks, captions)
    _report(dest, images, resolution)


def _object_count(text: str | None, floors: Path | None, masks: bool) -> tuple[int, int] | None:
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


def _photos(folder: Path | None, resolution: int, option: str) -> list:
    if folder is None:
        return []
    photos, skipped = load_photos(folder, resolution, option)
    _tell_skipped(folder, len(photos), skipped)
    return list(photos.values())


def _fill(
    writer: DatasetWriter,
    images: int,
    seed: int,
    make: Callable[[np.random.Generator], tuple],
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


def _tell_skipped(folder: Path, used: int, skipped: list[tuple[str, str]]) -> None:
    for name, reason in skipped[:_SHOWN_SKIPPED]:
        click.echo(f"skipped: {name}: {reason}")
    click.echo(f"{folder}: {used} pictures used, {len(skipped)} skipped")


def _report(dest: str, images: int, resolution: int) -> None:
    click.echo(f"{dest}: {images} images, {resolution}x{resolution}, RGB, no labels, ground truth in dataset.json")


if __name__ == "__main__":
    main()
