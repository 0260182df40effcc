"""`edit.py serve` as a command: the port, no display, two at once, Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

import edit
from benchmarks.harness.report import ROOT
from editing.server import launch
from editing.server.launch import DEFAULT_PORT, has_display, serve
from tests.tiny_models import save_tiny_snapshot

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


@contextmanager
def command(network: Path, *words: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The running command, and its first line."""
    environment = {name: value for name, value in os.environ.items() if name not in DISPLAYS}
    process = subprocess.Popen(
        [sys.executable, "edit.py", f"--network={network}", *words],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a browser opens")
@pytest.mark.parametrize("seconds", [0.0, 0.5, 4.0])  # while the model is being loaded, and after
def test_two_at_once_and_ctrl_c_is_clean(tmp_path: Path, seconds: float):
    network = save_tiny_snapshot(tmp_path)
    with command(network) as (one, first), command(network) as (other, second):
        pattern = r"the editor is at (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it"
        addresses = [re.search(pattern, line) for line in (first, second)]
        assert addresses[0][1] != addresses[1][1]
        assert f"port {DEFAULT_PORT} is taken" in second
        time.sleep(seconds)
        for process in (one, other):
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(60) == 0
            assert rest.splitlines()[-1] == "the editor has ended"
            assert "there is no display" in rest
            assert len(rest.splitlines()) == 2, rest


def test_files_of_directions_that_are_not_there_are_refused(tmp_path: Path):
    network = save_tiny_snapshot(tmp_path)
    result = CliRunner().invoke(edit.main, [f"--network={network}", f"--directions={tmp_path}/gone.safetensors"])
    assert result.exit_code == 2
    assert result.output.endswith("gone.safetensors: no such file; give one of edit.py directions\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of X11 and Wayland")
def test_a_browser_is_opened_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch):
    """Where there is none, Python would take a browser for terminals."""
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    assert not has_display()
    for name in DISPLAYS:
        with monkeypatch.context() as context:
            context.setenv(name, "1")
            assert has_display()


@pytest.mark.parametrize("display, said", [(True, 2), (False, 3)])
def test_what_is_said(monkeypatch: pytest.MonkeyPatch, display: bool, said: int):
    opened, lines = [], []
    monkeypatch.setattr(launch, "has_display", lambda: display)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("uvicorn.Server.serve", _interrupted)
    serve(lambda: None, say=lines.append)
    assert len(lines) == said
    assert lines[-1] == "the editor has ended"
    deadline = time.monotonic() + 10
    while len(opened) < display and time.monotonic() < deadline:  # in a thread of its own
        time.sleep(0.01)
    assert len(opened) == display


async def _interrupted(self, sockets):
    for each in sockets:
        each.close()
    raise KeyboardInterrupt
