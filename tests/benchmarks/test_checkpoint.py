"""The benchmark of checkpoints: what it times and reports."""

import pytest
from click.testing import CliRunner

from benchmarks.checkpoint import main
from benchmarks.harness.report import read_report
from benchmarks.measures import checkpoint
from tests.benchmarks.refusals import assert_refused
from tests.benchmarks.small import small_config


def test_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "resolved", lambda *_: small_config())
    path, folder = tmp_path / "report.json", tmp_path / "there"
    options = ["--device=cpu", "--quick", f"--folder={folder}", f"--json={path}"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    report = read_report(path)
    waits, there = (report.series["checkpoint"][what] for what in (checkpoint.WAITS, checkpoint.THERE))
    assert (waits.judged, there.judged) == (True, False)  # a disk's time has no stable median
    assert all(0 < wait < whole for wait, whole in zip(waits.samples, there.samples, strict=True))
    tensors = checkpoint.trained_state(small_config()).tensors()
    size = sum(tensor.nbytes for tensor in tensors.values()) / 2**20
    assert size < report.facts["mib"] < 1.5 * size
    assert report.facts["first_wait_s"] > 0
    assert list(folder.iterdir()) == []
    assert str(tmp_path) not in path.read_text()


def test_optimizers_have_their_moments():
    names = checkpoint.trained_state(small_config()).tensors()
    assert any("exp_avg" in name for name in names)


@pytest.mark.parametrize("arguments, text", [
    (["--method=spatialgun"], "did you mean 'spatialgan'"),
    (["--res=48"], "power of two"),
    (["--folder=README.md"], "File exists"),
    (["--folder=README.md/below"], "cannot write to directory"),
])
def test_refusals(arguments, text):
    assert_refused(main, arguments, text)
