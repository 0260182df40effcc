"""The experiment on projector.py: what it counts."""

import pytest
import torch
from click.testing import CliRunner

from editing.inversion import InversionOptions, InversionStep
from experiments.projector import main
from experiments.studies import projector
from tests.tiny_models import save_tiny_snapshot, tiny_model


def step(number: int, *rms: float) -> InversionStep:
    empty = torch.zeros(len(rms))
    return InversionStep(number, empty, empty, None, empty, torch.tensor(rms))


def found(monkeypatch: pytest.MonkeyPatch, *steps: InversionStep) -> projector.Outcome:
    monkeypatch.setattr(projector, "invert", lambda *_: iter(steps))
    return projector.outcome(tiny_model(), torch.zeros(2), InversionOptions())


def test_the_first_near_step_counts(monkeypatch: pytest.MonkeyPatch):
    outcome = found(monkeypatch, step(0, 0.5, 0.02), step(1, 0.029, 0.5), step(9, 0.01, 0.01))
    assert outcome.steps_until(0.03).tolist() == [1, 0]
    assert outcome.steps_until(0.015).tolist() == [2, 2]  # the last one is the best of all, whatever its number
    assert outcome.steps_until(torch.tensor([0.5, 0.001])).tolist() == [0, -1]
    assert projector.said("x", outcome).startswith("x: 2 of 2 within 0.03 (after 0 steps in the median)")


def test_searches_are_compared_on_the_same_pictures(monkeypatch: pytest.MonkeyPatch):
    free = found(monkeypatch, step(0, 0.5, 0.5), step(1, 0.02, 0.3), step(2, 0.01, 0.02))
    fixed = found(monkeypatch, step(0, 0.5, 0.5), step(1, 0.4, 0.5), step(2, 0.02, 0.3))
    assert projector.compared(free, fixed).splitlines() == [
        "within 0.03, 1 picture by both: after 1 with centers, 2 without, in the median of steps; "
        "fewer with centers for 1",
        "as near as without comes, 2 pictures by both: after 1 with centers, 2 without, in the median of steps; "
        "fewer with centers for 2",
    ]


def test_centers_are_compared_level_by_level():
    model = tiny_model()
    layout = model.layout([0, 1]).moved(1, 1, 0.25, -0.5)
    errors = projector.center_errors(model.layout([0, 1]), layout)
    assert torch.stack(errors).round(decimals=3).tolist() == [[0, 0], [0.5, 0.5], [0, 0]]


def test_a_model_without_layouts_is_refused(tmp_path):
    result = CliRunner().invoke(main, [f"--network={save_tiny_snapshot(tmp_path, 'stylegan2')}"])
    assert result.exit_code == 2
    assert "this model takes no layout, so there are no centers to look for" in result.output
    assert result.output.count("\n") == 1


def test_files_have_256_values():
    images = torch.tensor([-1.5, -1, 0, 0.001, 1, 2])
    assert projector.as_files(images).mul(127.5).add(127.5).round().tolist() == [0, 0, 128, 128, 255, 255]


def test_what_hangs_on_a_center_is_how_the_picture_changes_when_it_moves():
    model = tiny_model()
    layout, ws = model.layout([0, 1]), model.styles([0, 1], layout=model.layout([0, 1]))
    found = projector.effects(model, [0, 1], layout)
    assert [len(each) for each in found] == [4 * n * 2 for n in layout.counts]
    last = layout.moved(2, 3, 0.0, -0.1)  # the last center, up
    before, after = (model.images([0, 1], ws=ws, layout=each).clamp(-1, 1) for each in (layout, last))
    torch.testing.assert_close(found[2][-2:], (after - before).square().mean((1, 2, 3)).sqrt())
