"""Record docs/editor.gif from the real page: a face is dragged about, and its heatmaps with it.

    python tools/record_editor.py                        # needs playwright, and a chromium
"""

import io
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.editor_process import browser, opened, served  # noqa: E402
from dnnlib.cli import PATH, Command, option  # noqa: E402
from dnnlib.files import write_bytes  # noqa: E402
from training.data.image_formats import open_image  # noqa: E402

WINDOW = {"width": 1280, "height": 860}
SEEDS = (3, 14)
STEPS = 13  # frames of a drag
FRAME = 100  # milliseconds
COLORS = 160  # of a drag
WIDTH = 520  # pixels
MARGIN = 12  # CSS pixels around what is shown


@click.command(cls=Command)
@option("--network", metavar="PATH", type=PATH, default="models/smileys64.safetensors", show_default=True,
        help="Whose pictures.")
@option("--out", metavar="FILE.gif", type=PATH, default="docs/editor.gif", show_default=True, help="The film.")
def main(network: str, out: str) -> None:
    """Record the editor's page as a GIF."""
    with browser() as started, served(network) as server, opened(started, server.url) as page:
        page.set_viewport_size(WINDOW)
        frames = list(recorded(page))
    data = film(frames)
    write_bytes(out, data)
    click.echo(f"wrote {out}: {len(frames)} frames, {len(data) / 2**20:.2f} MiB")


def recorded(page: Any) -> Iterator[Image.Image]:
    """A drag of each seed's object on a way of its own, there and back."""
    clip = shown(page)
    for number, seed in enumerate(SEEDS):
        page.fill("#seed", str(seed))
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        settle(page)
        yield shot(page, clip)
        x, y = middle(page.locator("#stage g.handle.level-0 circle").first.bounding_box())
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(1, STEPS + 1):
            page.mouse.move(*way(number, x, y, step / STEPS))
            settle(page)
            yield shot(page, clip)
        page.mouse.up()
        settle(page)


def way(number: int, x: float, y: float, share: float) -> tuple[float, float]:
    """Where the pointer is: a loop that ends where it began."""
    angle = 2 * math.pi * share
    side = 1 if number % 2 == 0 else -1
    return x + side * 150 * math.sin(angle), y - 85 * (1 - math.cos(angle))


def shown(page: Any) -> dict[str, float]:
    """The picture and its heatmaps, within the window."""
    first, last = (page.locator(name).bounding_box() for name in ("#stage", "#heatmaps"))
    bottom = max(first["y"] + first["height"], last["y"] + last["height"]) + MARGIN
    right = last["x"] + last["width"] + MARGIN
    left, top = first["x"] - MARGIN, first["y"] - MARGIN
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def middle(box: dict[str, float]) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def settle(page: Any) -> None:
    page.wait_for_function("!globalThis.steergan.picture.age")


def shot(page: Any, clip: dict[str, float]) -> Image.Image:
    with open_image(io.BytesIO(page.screenshot(clip=clip)), "shot.png") as shown:
        image = shown.convert("RGB")
    return image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)


def film(frames: list[Image.Image]) -> bytes:
    """A GIF with one palette a drag, so that what does not move in it costs nothing."""
    drags = [frames[start : start + STEPS + 1] for start in range(0, len(frames), STEPS + 1)]
    plain = [each for drag in drags for each in _with_palette(drag)]
    stream = io.BytesIO()
    plain[0].save(stream, "GIF", save_all=True, append_images=plain[1:], duration=FRAME, loop=0, optimize=True)
    return stream.getvalue()


def _with_palette(frames: list[Image.Image]) -> list[Image.Image]:
    chosen = frames[::4]
    sheet = Image.new("RGB", (chosen[0].width, chosen[0].height * len(chosen)))
    for place, each in enumerate(chosen):
        sheet.paste(each, (0, place * each.height))
    palette = sheet.quantize(COLORS, dither=Image.Dither.NONE)
    return [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in frames]


if __name__ == "__main__":
    main()
