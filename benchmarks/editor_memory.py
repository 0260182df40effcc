"""Does the editor's server keep its memory through a long session of dragging?

    python -m benchmarks.editor_memory --moves 108000                     # as many as an hour has, as fast as it goes
    python -m benchmarks.editor_memory --moves 108000 --per-second 30     # an hour of dragging
    python -m benchmarks.editor_memory --per-second 30 --minutes 60       # the same, an hour by the clock

A page's side of the WebSocket asks for a picture of a moved centre, again and again: at the pace of --per-second,
whether or not the server keeps up (of what waits, it draws the newest), or else up to four ahead of the answers. After
each part of the session the resident memory of the server's process is read (/proc/PID/status, so on Linux alone).
"""

import json
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.editor_process import served
from benchmarks.harness.command import benchmark
from dnnlib.cli import Int, Number
from dnnlib.errors import UserError
from editing.document import Document, to_json

if TYPE_CHECKING:  # torch takes seconds to import
    from benchmarks.harness.run import Findings, Run

MOVES, QUICK_MOVES = 108_000, 3_000
PARTS = 10
AHEAD = 4  # requests that are on their way, where no pace is set


def resident_mib(pid: int) -> float:
    """Of a process. Raises UserError where there is no /proc."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        raise UserError("memory of another process can be read on Linux only")
    line = next(each for each in status.read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class Dragging:
    """A page's side of a connection, on which the first centre goes round and round."""

    def __init__(self, socket: Any, per_second: int | None = None):
        self.socket, self.sent, self.answered, self.pictures = socket, 0, 0, 0
        self._pause = 1 / per_second if per_second else 0.0
        self.layout: dict[str, Any] = {}

    def begin(self) -> None:
        """Wait for the model and for its first picture, which tells the layout."""
        self._receive("hello")
        self._send(Document(seed=1))
        self.layout = self._receive("picture")["layout"]

    def go(self, moves: int, until: float = math.inf) -> None:
        """So many moves, fewer where it is `until` (of time.perf_counter) before, and the answer to the last one."""
        due = time.perf_counter()
        for _ in range(moves):
            if time.perf_counter() >= until:
                break
            if self._pause:
                due = max(due + self._pause, time.perf_counter())  # what is late is not hurried after
                self._receive_before(due)
            else:
                while self.sent - self.answered >= AHEAD:
                    self._receive("picture")
            self._send(Document(seed=1, layout=self._moved()))
        while self.answered < self.sent:
            self._receive("picture")

    def _receive_before(self, due: float) -> None:
        """The pictures that come until then."""
        with suppress(TimeoutError):
            while (left := due - time.perf_counter()) > 0:
                self._receive("picture", left)

    def _moved(self) -> dict[str, Any]:
        angle = self.sent / 20
        levels = [dict(level) for level in self.layout["levels"]]
        levels[0]["centers"] = [[0.5 * math.cos(angle), 0.5 * math.sin(angle)], *levels[0]["centers"][1:]]
        return {"levels": levels}

    def _send(self, document: Document) -> None:
        self.sent += 1
        self.socket.send(json.dumps({"type": "render", "id": self.sent, "document": to_json(document)}))

    def _receive(self, kind: str, timeout: float = 300) -> dict[str, Any]:
        """The next message of a kind. Raises UserError for an error of the server, TimeoutError after some seconds."""
        from editing.server.protocol import read_frame

        while True:
            data = self.socket.recv(timeout=timeout)
            message = json.loads(data) if isinstance(data, str) else read_frame(data)[0]
            if message["type"] in ("error", "failed"):
                raise UserError(message["message"])
            if message["type"] == kind:
                self.answered = message.get("id", self.answered)
                self.pictures += kind == "picture"
                return message


def connected(url: str) -> Any:
    """A WebSocket of the server's own page."""
    from websockets.sync.client import connect
    from websockets.typing import Origin

    # As a browser's page it sends no pings of its own: a server that is late is waited for.
    return connect(f"ws://{url.split('/')[2]}/ws", origin=Origin(url.rstrip("/")), max_size=None, ping_interval=None)


def measure(run: "Run", network: str, moves: int, per_second: int | None, minutes: float = math.inf) -> "Findings":
    """MiB of the server after each part of a session; growth from the second part's end to the last one's."""
    from benchmarks.harness.run import Findings
    from benchmarks.harness.series import Series

    run.progress.expect(1 + PARTS)
    with served(network) as server, connected(server.url) as socket:
        page, found = Dragging(socket, per_second), []
        with run.progress.doing("the first picture"):
            page.begin()
        start = time.perf_counter()
        for part in range(PARTS):
            with run.progress.doing("dragging"):
                page.go(math.ceil(moves / PARTS), start + 60 * minutes * (part + 1) / PARTS)
                found.append(round(resident_mib(server.pid), 1))
        seconds = time.perf_counter() - start
    growth = found[-1] - found[1]
    rate = page.sent / seconds
    counts = {"moves": page.sent, "pictures": page.pictures, "seconds": round(seconds)}
    facts = {"mib": found, "growth_mib": round(growth, 1), **counts, "moves_a_second": round(rate, 2)}
    tenths = ", ".join(f"{each:.0f}" for each in found)
    lines = [f"MiB after each tenth: {tenths}; {page.sent} moves, {page.pictures} pictures in {seconds:.0f} s: "
             f"{rate:.1f} moves a second"]
    return Findings({"server": {"growth": Series.of("MiB", [growth], judged=False)}}, facts=facts, lines=lines)


@benchmark(rounds=1, quick_rounds=1, has_device=False)
@click.option("--network", default="models/smileys64.safetensors", show_default=True, help="What is dragged in.")
@click.option("--moves", type=Int(PARTS, 10_000_000), show_default=f"{MOVES}, with --quick {QUICK_MOVES}",
              help="Of a session.")
@click.option("--minutes", type=Number(above=0, most=1440), metavar="M", show_default="until all moves are made",
              help="A session of that length, with fewer moves where they cannot be sent so fast.")
@click.option("--per-second", type=Int(1, 1000), metavar="N", show_default="as fast as they are answered",
              help="Moves a second.")
def main(
    run: "Run", network: str, moves: int | None, minutes: float | None, per_second: int | None
) -> "Findings":
    """Measure the memory of the editor's server through a long session."""
    resident_mib(1)
    run.begin()
    asked = moves or (QUICK_MOVES if run.quick else MOVES)
    return measure(run, network, asked, per_second, minutes or math.inf)


if __name__ == "__main__":
    main()
