"""The experiment on projector.py: what it counts."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from editing.inversion import InversionStep
from experiments.projector import main
from experiments.studies import projector
from tests.tiny_models import save_tiny_snapshot, tiny_model
from training.layouts.layout import Layout


def found(*rms: list[float]) -> projector.Outcome:
    """Of one picture each: the rms of its steps."""
    return projector.outcome([{"rms": each, "errors": [0.0], "seconds": 1.0} for each in rms])


def test_the_first_near_step_counts():
    outcome = found([0.5, 0.029, 0.01], [0.02, 0.5, 0.01])
    assert outcome.steps_until(0.03).tolist() == [1, 0]
    assert outcome.steps_until(0.015).tolist() == [2, 2]  # the last one is the best of all, whatever its number
    assert outcome.steps_until(torch.tensor([0.5, 0.001])).tolist() == [0, -1]
    assert projector.said("x", outcome) == "x: 2 of 2 within 0.03 (after 0 steps in the median); median rms 0.0100; 2 s"


def test_a_search_that_ends_early_stays_as_it_was():
    outcome = found([0.5, 0.002], [0.5, 0.4, 0.3])
    assert outcome.rms.T.tolist() == torch.tensor([[0.5, 0.002, 0.002], [0.5, 0.4, 0.3]]).tolist()


def test_searches_are_compared_on_the_same_pictures():
    free, fixed = found([0.5, 0.02, 0.01], [0.5, 0.3, 0.02]), found([0.5, 0.4, 0.02], [0.5, 0.5, 0.3])
    assert projector.compared(free, fixed).splitlines() == [
        "within 0.03, 1 picture by both: after 1 with centers, 2 without, in the median of steps; "
        "fewer with centers for 1",
        "as near as without comes, 2 pictures by both: after 1 with centers, 2 without, in the median of steps; "
        "fewer with centers for 2",
    ]


def test_a_study_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    searched = []

    def search(model: object, target: torch.Tensor, true: Layout, options: object, words: str) -> dict:
        assert len(target) == len(true) == 1
        searched.append(words)
        if len(searched) == 4:
            raise KeyboardInterrupt
        return {"rms": [0.5, 0.01], "errors": [0.05, 0.2, 0.3], "seconds": 2.0}

    monkeypatch.setattr(projector, "search", search)
    arguments = [f"--network={save_tiny_snapshot(tmp_path)}", "--pictures=2", f"--outdir={tmp_path / 'out'}"]
    assert CliRunner().invoke(main, arguments).exit_code != 0
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert searched == [f"seed {n} {way}" for n in (0, 1) for way in ("with centers", "without")] + ["seed 1 without"]
    lines = result.output.splitlines()
    assert lines[0] == "with centers: 2 of 2 within 0.03 (after 1 step in the median); median rms 0.0100; 4 s"
    assert [line.split(";")[0] for line in lines[1:4]] == [
        "  level 0: centers of 2 within 0.1, median error 0.050",
        "  level 1: centers of 0 within 0.1, median error 0.200",
        "  level 2: centers of 0 within 0.1, median error 0.300",
    ]
    assert CliRunner().invoke(main, [*arguments, "--num-steps=5"]).exit_code == 0
    assert len(searched) == 9  # other settings: all four again


def test_a_picture_is_searched_alone():
    model = tiny_model()
    options = projector.InversionOptions(steps=3, candidates=4)
    record = projector.search(model, model.images([5]), model.layout([5]), options, "")
    assert 2 <= len(record["rms"]) <= 4
    assert len(record["errors"]) == 3
    assert record["rms"][-1] == min(record["rms"])


def test_centers_are_compared_level_by_level():
    model = tiny_model()
    layout = model.layout([0, 1]).moved(1, 1, 0.25, -0.5)
    errors = projector.center_errors(model.layout([0, 1]), layout)
    assert torch.stack(errors).round(decimals=3).tolist() == [[0, 0], [0.5, 0.5], [0, 0]]


def test_objects_are_compared_in_any_order(monkeypatch: pytest.MonkeyPatch):
    model = tiny_model("spatialgan-indoor")
    true, ws = model.layout([0, 1]), model.styles([0, 1], layout=model.layout([0, 1]))
    order = list(range(true.counts[0]))[::-1]
    turned = replace(true, centers=(true.centers[0][:, order],), spreads=(true.spreads[0][:, order],))
    ws_turned = ws[:, :, [*order, len(order)]]
    again = model.images(ws=ws_turned, layout=turned)
    torch.testing.assert_close(again, model.images(ws=ws, layout=true), atol=1e-5, rtol=0)  # the order means nothing
    assert projector.center_errors(true, turned)[0].min() > 0.1
    apart = projector.center_errors(true, turned.moved(0, 0, 0.25, 0.0), in_any_order=True)
    torch.testing.assert_close(apart[0], torch.tensor([0.25, 0.25]))
    one = InversionStep(0, again[:1], ws_turned[:1], turned[[0]], torch.zeros(1), torch.zeros(1))
    monkeypatch.setattr(projector, "invert", lambda *given: iter([one]))
    record = projector.search(model, again[:1], true[[0]], projector.InversionOptions(), "")
    assert record["errors"] == [0]


def test_a_model_without_layouts_is_refused(tmp_path: Path):
    out = tmp_path / "out"
    result = CliRunner().invoke(main, [f"--network={save_tiny_snapshot(tmp_path, 'stylegan2')}", f"--outdir={out}"])
    assert result.exit_code == 2
    assert "this model takes no layout, so there are no centers to look for" in result.output
    assert result.output.count("\n") == 1
    assert not out.exists()


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
