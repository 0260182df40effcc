"""SIGTERM and SIGINT: the step is finished and a checkpoint left, from which the run goes on bit for bit."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

from tests.training.test_loop import configuration, data  # noqa: F401
from torch_utils.distributed import World
from torch_utils.interruption import Interruption
from training import loop
from training.runs.checkpoint import latest_checkpoint, read_about, read_tensors

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_only_leaves_a_note(number):
    before = signal.getsignal(number)
    with Interruption(World()) as interruption:
        assert not interruption.requested()
        os.kill(os.getpid(), number)
        assert interruption.requested()
        assert interruption.name == signal.Signals(number).name
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_the_process_at_once():
    script = """
        import os, signal, time
        from torch_utils.distributed import World
        from torch_utils.interruption import Interruption
        with Interruption(World()):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            print("still here")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")


@pytest.mark.parametrize("method", ["spatialgan", pytest.param("stylegan2", marks=pytest.mark.slow)])
def test_a_run_stopped_within_a_tick_goes_on_as_if_nothing_had_been(method, data, tmp_path, monkeypatch):  # noqa: F811
    """Weights, moments, streams, statistics and ADA's p of 8 steps are those of 3 steps, SIGTERM, and 5 steps."""
    config = configuration(data, 0.064, method)
    config = config.model_copy(update={"schedule": config.schedule.model_copy(update={"kimg_per_tick": 0.064})})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    loop.train(config, whole)

    step = loop.Run.step

    def step_and_signal(run, *arguments):
        step(run, *arguments)
        if run.state.steps == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop.Run, "step", step_and_signal)
    loop.train(config, parts)
    assert "stopped at 0.024 of 0.064 kimg" in (parts / "log.txt").read_text()
    stopped = latest_checkpoint(parts)
    assert read_about(stopped)["images"] == 24
    assert {"statistics.scores/real", "augment.strength.signs"} <= read_tensors(stopped).keys()
    loop.train(config, parts)
    a, b = (read_tensors(latest_checkpoint(run)) for run in (whole, parts))
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    for name in ("fakes000000.png", "network-snapshot-000000.safetensors"):
        assert (whole / name).exists()
        assert (parts / name).exists()
    assert (whole / "stats.jsonl").read_text().count("\n") == 1
    assert without_times(whole) == without_times(parts)


def without_times(run_dir):
    """The statistics of the only tick."""
    line = json.loads((run_dir / "stats.jsonl").read_text())
    return {name: value for name, value in line.items() if not name.startswith(("time", "seconds", "speed"))}


@pytest.mark.slow
def test_a_signal_while_a_checkpoint_is_being_written(tmp_path):
    """The file is finished, a newer one follows, nothing half-written stays, and the exit status is 0."""
    script = """
        import os, signal, sys, time
        from pathlib import Path
        from benchmarks.measures import crash
        folder = Path(sys.argv[1])
        crash.make_pictures(folder / "pictures.zip")
        (folder / "run").mkdir()
        config = crash.configuration(folder / "pictures.zip", 10**6, 2)
        process = crash.FORK.Process(target=crash.train, args=(config, folder / "run"))
        process.start()
        while not (crash.half_written(folder / "run") and crash.latest_checkpoint(folder / "run")):
            assert process.is_alive()
            time.sleep(0.0005)
        os.kill(process.pid, signal.SIGTERM)
        process.join()
        print(process.exitcode)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "0\n", done.stderr
    assert list((tmp_path / "run").glob(".*")) == []
    images = read_about(latest_checkpoint(tmp_path / "run"))["images"]
    assert f"stopped at {images / 1000:g} of" in (tmp_path / "run" / "log.txt").read_text()


def test_the_first_signal_is_answered_at_once(capfd):
    with Interruption(World()) as interruption:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.requested()
    assert capfd.readouterr().err == (
        "\nSIGTERM: finishing the step under way and saving; a second signal ends at once\n"
    )


def test_a_signal_before_the_first_step_ends_the_process_and_says_so(capfd):
    with pytest.raises(SystemExit) as caught, Interruption(World(), loading=True):
        os.kill(os.getpid(), signal.SIGINT)
    assert caught.value.code == 128 + signal.SIGINT
    assert capfd.readouterr().err == "\nSIGINT: ending; no step has been made since the start, so nothing is lost\n"


def test_a_signal_while_the_first_pictures_are_drawn_leaves_a_run_that_can_begin_again(
    data, tmp_path, monkeypatch  # noqa: F811
):
    config, run = configuration(data, 0.016, "stylegan2"), tmp_path / "run"
    run.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(loop.Run, "save_pictures", lambda run, reals=False: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(SystemExit):
            loop.train(config, run)
    loop.train(config, run)
    assert read_about(latest_checkpoint(run))["images"] == 16
