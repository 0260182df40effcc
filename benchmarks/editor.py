"""From a move of the mouse to its picture in the browser, while a centre is dragged all the time.

    python -m benchmarks.editor --network models/smileys64.safetensors
    python -m benchmarks.editor --static page                 # what `edit.py export --dest=page` wrote

A real Chromium (without a window) drags the first centre in circles. A move's time is from the event to the moment at
which its picture, or a newer one, is drawn to the page's canvas; moves whose own picture was dropped for a newer one
count, too. The screen shows it up to a frame (16.7 ms at 60 Hz) later. How long the server takes to start is until it
prints its address, and until it answers there.
"""

import math
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.editor_process import browser, opened, served
from benchmarks.harness.command import benchmark
from dnnlib.cli import FILE, Int
from dnnlib.errors import UserError

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run
    from benchmarks.harness.series import Series

MOVES, PER_SECOND = 150, 30
RADIUS = 60  # CSS pixels of the circle
MEDIAN, SLOWEST = "move to picture, median", "move to picture, 95th percentile"
SAID, ANSWERED = "start to the address", "start to an answer"

# What the page notes of each move, and of each picture.
WATCH = """() => {
  const { picture } = globalThis.steergan;
  const waiting = [];
  globalThis.watched = { latencies: [], pictures: 0, made: [] };
  addEventListener("pointermove", ({ timeStamp }) => waiting.push({ at: timeStamp, id: picture.wantedId }));
  const show = picture.show.bind(picture);
  picture.show = (frame) => {
    const isShown = show(frame);
    const now = performance.now();
    while (waiting.length && waiting[0].id <= frame.id) globalThis.watched.latencies.push(now - waiting.shift().at);
    globalThis.watched.pictures += 1;
    globalThis.watched.made.push(frame.ms);
    return isShown;
  };
}"""
WATCHED = """() => {
  const { watched } = globalThis;
  globalThis.watched = { latencies: [], pictures: 0, made: [] };
  return watched;
}"""


def drag(page: Any, moves: int) -> dict[str, Any]:
    """Drag the first centre in circles: {"latencies": ms of each move, "pictures": count, "made": ms of each}."""
    box = page.locator("#stage g.handle circle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    start = time.perf_counter()
    for number in range(moves):
        wait = start + number / PER_SECOND - time.perf_counter()
        time.sleep(max(wait, 0))
        angle = 2 * math.pi * number / PER_SECOND
        page.mouse.move(x - RADIUS * (1 - math.cos(angle)), y + RADIUS * math.sin(angle))
    page.wait_for_function("!globalThis.steergan.picture.age")
    page.keyboard.press("Escape")
    page.mouse.up()
    page.wait_for_function("!globalThis.steergan.picture.age")
    return page.evaluate(WATCHED)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that this share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def measure(run: "Run", page: Any, moves: int) -> "Findings":
    """Milliseconds of the moves of each round: their median and 95th percentile."""
    from benchmarks.harness.run import Findings
    from benchmarks.harness.series import Series

    page.evaluate(WATCH)
    run.progress.expect(1 + run.rounds)
    rounds = []
    for _ in range(1 + run.rounds):
        with run.progress.doing("dragging"):
            rounds.append(drag(page, moves))
    counted = rounds[1:]
    series = {
        MEDIAN: Series.of("ms", [statistics.median(each["latencies"]) for each in counted]),
        SLOWEST: Series.of("ms", [percentile(each["latencies"], 0.95) for each in counted], judged=False),
        "a picture alone": Series.of("ms", [statistics.median(each["made"]) for each in counted]),
    }
    shares = [each["pictures"] / len(each["latencies"]) for each in counted]
    lines = [f"{statistics.median(shares):.2f} pictures a move; {PER_SECOND} moves a second"]
    return Findings({"editor": series}, facts={"pictures_a_move": statistics.median(shares)}, lines=lines)


def starts(run: "Run", network: str) -> "dict[str, Series]":
    """Seconds from the command to its address, and to its first answer; a round each."""
    from benchmarks.harness.series import Series

    times = []
    run.progress.expect(run.rounds)
    for _ in range(run.rounds):
        with run.progress.doing("starting"), served(network) as server:
            times.append(server)
    said, answered = [each.said for each in times], [each.answered for each in times]
    return {SAID: Series.of("s", said), ANSWERED: Series.of("s", answered)}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """The address of a folder, as `python -m http.server` has it."""
    if not (folder / "synthesis.onnx").is_file():
        raise UserError(f"--static {folder}: no page that `edit.py export` wrote")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@benchmark(has_device=False)
@click.option("--network", default="models/smileys64.safetensors", show_default=True, help="What is dragged in.")
@click.option("--static", type=FILE, metavar="FOLDER", help="An exported page instead.")
@click.option("--moves", type=Int(10, 10_000), default=MOVES, show_default=True, help="In a round.")
def main(run: "Run", network: str, static: Path | None, moves: int) -> "Findings":
    """Measure how long a picture takes to follow the mouse in the editor's page."""
    with ExitStack() as stack:
        started = stack.enter_context(browser())
        if static is not None:
            url = stack.enter_context(hosted(static))
            run.begin()
            return measure(run, stack.enter_context(opened(started, url)), moves)
        url = stack.enter_context(served(network)).url
        run.begin()
        found = measure(run, stack.enter_context(opened(started, url)), moves)
    found.series["edit.py serve"] = starts(run, network)
    return found


if __name__ == "__main__":
    main()
