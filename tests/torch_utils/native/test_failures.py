"""A build that fails, with the real fault each time: one warning, right results, no waiting, nothing left running."""

import errno
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from torch_utils import ops
from torch_utils.native import build, loader, toolchain
from torch_utils.native.cache import FAILURE_HOURS, Slot
from torch_utils.native.toolchain import ToolError

ROOT = Path(__file__).parents[3]
ANSWER = 'case "$*" in *--version*) echo "c++ 1.2.3"; exit 0;; *-fsyntax-only*) exit 0;; esac\n'
LOAD = "from torch_utils.native import loader; print(loader.is_loaded('cpu'))"


@pytest.fixture
def bin_dir(tmp_path, monkeypatch) -> Path:
    """The only folder on PATH; an empty cache; nothing loaded yet."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(loader, "_loaded", {})
    return path


@pytest.fixture
def stub(bin_dir, monkeypatch) -> Callable[[str, str], Path]:
    """stub(name, script): puts a shell script on PATH. No level of processor is asked of it, also where tests run
    held down to one."""
    monkeypatch.delenv("STEERGAN_MARCH", raising=False)

    def write(name: str, script: str) -> Path:
        path = bin_dir / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def cleanup() -> Iterator[list[subprocess.Popen]]:
    """Processes that are to end with the test."""
    started: list[subprocess.Popen] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def check_fallback(cause: str) -> str:
    """One warning that names the cause and a cure, then the PyTorch version's results without a word."""
    x, b = torch.linspace(-1, 1, 24).reshape(2, 3, 4), torch.ones(3)
    with ops.use("pytorch"):
        expected = ops.bias_act(x, b, act="lrelu")
    message = check_warning(cause)
    with warnings.catch_warnings(), ops.use("native"):
        warnings.simplefilter("error")
        assert torch.equal(ops.bias_act(x, b, act="lrelu"), expected)
    return message


def check_warning(cause: str, device: str = "cpu") -> str:
    """One warning that names the cause and a cure."""
    with pytest.warns(UserWarning, match="native operators for") as caught:
        assert [loader.is_loaded(device), loader.is_loaded(device)] == [False, False]
    message = str(caught[0].message)
    assert len(caught) == 1
    assert cause in message
    assert "Cure: " in message
    return message


def test_no_compiler(bin_dir):
    assert "apt-get install g++" in check_fallback("no C++ compiler: 'c++' is not on PATH")


@pytest.mark.parametrize("script, cause", [
    ("exit 7", "fails with status 7"),
    ("exit 0", "prints nothing"),
], ids=["failing", "silent"])
def test_broken_compiler(stub, script, cause):
    stub("c++", script)
    check_fallback(cause)


def test_compiler_that_hangs_when_asked_for_its_version(stub, monkeypatch):
    stub("c++", "exec /bin/sleep 1000")
    monkeypatch.setattr(toolchain, "ANSWER_LIMIT", 0.5)
    check_fallback("hangs: no answer in 0.5 s")


def test_compiler_whose_version_is_not_utf8(stub):
    stub("c++", r'case "$*" in *--version*) printf "c++ 1.2 \351\377\n"; exit 0;; esac; exit 1')
    found = toolchain.find("cpu")
    assert found.compiler_version == r"c++ 1.2 \xe9\xff"
    check_fallback("compiling failed")


@pytest.mark.parametrize("script, cause", [
    ("echo 'Segmentation fault at 0xdeadbeef'", "does not name a release"),
    ("exit 1", "fails with status 1"),
    ("echo 'Cuda compilation tools, release 9.1, V9.1.85'", "is of CUDA 9.1, but torch"),
], ids=["garbage", "failing", "other version"])
def test_wrong_nvcc(stub, monkeypatch, script, cause):
    stub("c++", ANSWER)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    stub("nvcc", script)
    check_warning(cause, "cuda")


def test_read_only_cache(stub, tmp_path, monkeypatch):
    stub("c++", ANSWER)
    place = tmp_path / "sealed"
    place.mkdir(mode=0o555)
    if os.access(place, os.W_OK):  # a superuser may write anywhere but here
        place = Path("/proc/sealed")
    monkeypatch.setenv("STEERGAN_CACHE", str(place))
    assert "STEERGAN_CACHE" in check_fallback(f"cannot write to the cache {place}")


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "make room there; then"),
        (errno.EACCES, "give access to it; then"),
        (errno.EIO, "mend that; then"),
    ],
)
def test_a_build_that_the_system_refuses(stub, monkeypatch, number: int, cure: str):
    stub("c++", ANSWER)

    def refuse(*args) -> int:
        raise OSError(number, os.strerror(number), "/opt/bin/python")

    monkeypatch.setattr(build, "run_limited", refuse)
    assert cure in check_fallback("/opt/bin/python: ")


@pytest.mark.slow
def test_compiler_that_fails_is_asked_once(stub, tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    stub("c++", f'{ANSWER}echo x >> {calls}; echo "fatal error: out of cheese" >&2; exit 1')
    assert "python -m torch_utils.ops build" in check_fallback("fatal error: out of cheese")
    count = len(calls.read_text())
    monkeypatch.setattr(loader, "_loaded", {})
    check_fallback("the last build failed: compiling failed: ")
    assert len(calls.read_text()) == count
    with pytest.raises(ToolError, match=r"^compiling failed"):
        loader.load("cpu", retry=True)
    assert len(calls.read_text()) > count


def test_a_failure_is_forgotten_after_a_while(tmp_path, monkeypatch):
    slot = Slot(tmp_path, "cpu")
    slot.note_failure("no luck")
    assert slot.recent_failure() == "no luck"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + FAILURE_HOURS * 3600 + 1)
    assert slot.recent_failure() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cause": "x"}'])
def test_a_damaged_note_of_failure_counts_for_nothing(tmp_path, text):
    (tmp_path / "failed.json").write_text(text)
    assert Slot(tmp_path, "cpu").recent_failure() is None


# ---- time limits


@pytest.mark.parametrize("text", [
    "nan", "inf", "-inf", "-1", "0", "1e-300", "1e308", "86401", "soon", "9" * 5000, "0x10", "1,5",
])  # fmt: skip
def test_a_time_limit_that_is_none(stub, tmp_path, monkeypatch, text):
    stub("c++", ANSWER)
    monkeypatch.setenv("STEERGAN_BUILD_TIMEOUT", text)
    message = check_fallback(f"STEERGAN_BUILD_TIMEOUT='{text[:40]}")
    assert "set it to 1 to 86400, or unset it" in message
    assert len(message) < 400
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("text, seconds", [("", 600), ("1", 1), ("0.5e2", 50), (" 86400 ", 86400)])
def test_a_time_limit(monkeypatch, text, seconds):
    monkeypatch.setenv("STEERGAN_BUILD_TIMEOUT", text)
    assert build.time_limit() == seconds


def wait_for(condition: Callable[[], object], limit: float = 60) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def alive(marker: str) -> list[int]:
    """Processes whose command line holds `marker`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker in entry.read_bytes().decode(errors="replace").replace("\0", " "):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def test_a_command_is_ended_with_all_that_it_started(tmp_path):
    nap = "7654.3210"  # seconds, and a name to look for
    deaf = f"trap '' TERM; /bin/sleep {nap} & set -m; /bin/sleep {nap} & wait; wait"
    begun = time.monotonic()
    with pytest.raises(ToolError, match=r"not done after 0\.5 s"):
        build.run_limited(["/bin/sh", "-c", deaf], tmp_path / "log", 0.5, dict(os.environ))
    assert time.monotonic() - begun < 0.5 + build.GRACE + 5
    wait_for(lambda: alive(f"sleep {nap}") == [], limit=5)


@pytest.mark.slow
def test_compiler_that_hangs(stub, monkeypatch):
    nap = "8765.4321"
    stub("c++", f"{ANSWER}exec /bin/sleep {nap}")
    monkeypatch.setenv("STEERGAN_BUILD_TIMEOUT", "15")
    begun = time.monotonic()
    assert "STEERGAN_BUILD_TIMEOUT" in check_fallback("not done after 15 s")
    assert time.monotonic() - begun < 40
    wait_for(lambda: alive(f"sleep {nap}") == [], limit=5)


# ---- locks


def start_loading(cleanup: list[subprocess.Popen]) -> subprocess.Popen:
    """Another process that loads the operators."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    cleanup.append(process)
    return process


@pytest.mark.slow
def test_lock_of_a_killed_process_is_no_obstacle(stub, tmp_path, cleanup):
    nap, began = "9876.5432", tmp_path / "began"
    stub("c++", f"{ANSWER}echo x > {began}; exec /bin/sleep {nap}")
    other = start_loading(cleanup)
    wait_for(began.exists)
    (work,) = (tmp_path / "cache" / "native").glob("*/work-*")
    other.send_signal(signal.SIGKILL)
    other.wait()
    stub("c++", f"{ANSWER}exit 1")  # the same version, hence the same folder
    begun = time.monotonic()
    check_fallback("compiling failed")
    assert time.monotonic() - begun < 60  # the limit for waiting is 600
    assert not work.exists()
    for left in alive(f"sleep {nap}"):
        os.kill(left, signal.SIGKILL)


@pytest.mark.slow
def test_two_processes_build_once(stub, tmp_path, cleanup):
    calls = tmp_path / "calls"
    stub("c++", f'{ANSWER}echo "$*" >> {calls}; /bin/sleep 2; exit 1')
    both = [start_loading(cleanup) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [out.strip() for out, _ in outputs] == ["False", "False"]
    assert sorted("the last build failed" in err for _, err in outputs) == [False, True]
    objects = [line.split(" -o ")[1] for line in calls.read_text().splitlines() if " -o " in line]
    assert objects
    assert len(objects) == len(set(objects))


def test_waiting_for_another_build_has_an_end(tmp_path):
    slot = Slot(tmp_path, "cpu")
    with slot.lock(1), pytest.raises(ToolError, match="another process has been building"), slot.lock(0.3):
        pass
    with slot.lock(0):
        pass  # free again


# ---- the real thing


@pytest.mark.slow
def test_two_processes_at_once_share_one_real_build(tmp_path, monkeypatch, cleanup):
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path))
    both = [start_loading(cleanup) for _ in range(2)]
    outputs = [process.communicate(timeout=900) for process in both]
    assert [out.strip() for out, _ in outputs] == ["True", "True"]
    assert sum("building native operators" in err for _, err in outputs) == 1
    assert len(list(tmp_path.glob("native/*/*.so"))) == 1
    assert list(tmp_path.glob("native/*/work-*")) == []


def test_a_finished_library_needs_neither_compiler_nor_a_writable_cache(monkeypatch, tmp_path):
    assert loader.is_loaded("cpu"), "no native operators; see: python -m torch_utils.ops doctor"
    monkeypatch.setattr(loader, "_loaded", {})
    monkeypatch.setenv("PATH", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loader.is_loaded("cpu")
