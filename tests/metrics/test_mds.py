"""MDS: the paper's own table, curves of known edits, and the metric by its name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import calc_metrics
import edit
from dnnlib.errors import UserError
from editing.latent.auxiliary import MappingOptions, learn
from editing.latent.manipulation import Manipulate
from metrics import registry
from metrics.context import network_context
from metrics.mds import Curve, accumulated, curve_of
from tests.editing.latent.conditions.test_files import Brightness, Means, script
from tests.tiny_models import NoData, save_tiny_snapshot, tiny_model
from training.sampling import Model

# Paper 004, table 3 (appendix C): accuracy, disentanglement, and what has come together.
SGF = [(0.18, 0.986, 0.179), (0.48, 0.915, 0.464), (0.79, 0.890, 0.744), (0.93, 0.872, 0.867), (0.99, 0.859, 0.919),
       (0.98, 0.842, 0.910)]  # fmt: skip
INTERFACEGAN = [(0.13, 0.993, 0.129), (0.32, 0.942, 0.312), (0.41, 0.883, 0.394), (0.55, 0.822, 0.513),
                (0.85, 0.612, 0.728), (0.99, 0.469, 0.804), (1.00, 0.398, 0.808)]  # fmt: skip


@pytest.mark.parametrize("rows, score", [(SGF, 0.919), (INTERFACEGAN, 0.808)])
def test_the_papers_table_comes_out(rows: list, score: float):
    a, d, together = np.array(rows).T
    np.testing.assert_allclose(accumulated(a, d), together, atol=2e-3)  # of rounded numbers
    assert Curve(a, d).area == pytest.approx(score, abs=2e-3)  # as its table 1 has it


def test_a_perfect_edit_scores_1_and_none_0():
    start = torch.tensor([[0.1, 0.9, 0.2]] * 4)
    end = torch.tensor([[0.9, 0.9, 0.2]] * 4)
    assert curve_of([start, end], 0).area == 1.0
    assert curve_of([start, start], 0).area == 0.0
    assert curve_of([start], 0).area == 0.0


def test_what_counts_as_a_change():
    start = torch.tensor([[0.1, 0.9, 0.2], [0.9, 0.9, 0.2], [0.3, 0.5, 0.5], [0.1, 0.1, 0.1]])
    end = torch.tensor([[0.7, 0.3, 0.2], [0.3, 0.9, 0.69], [0.6, 0.5, 0.5], [0.7, 0.7, 0.7]])
    curve = curve_of([start, end], 0)
    assert curve.accuracy.tolist() == [0.75]  # the third crosses 0.5, but by less than a change
    assert curve.disentanglement == pytest.approx([1 - 3 / 8])  # of two others each: 1, 0, 0, 2


def test_entangled_edits_lose_what_they_change():
    start = torch.zeros(2, 3)
    half, end = torch.tensor([[1.0, 0, 0], [0, 0, 0]]), torch.tensor([[1.0, 1, 0], [1, 1, 0]])
    curve = curve_of([start, half, end], 0)
    assert curve.accuracy.tolist() == [0.5, 1.0]
    assert curve.disentanglement.tolist() == [1.0, 0.5]
    assert curve.area == pytest.approx(0.5 + 0.5 * 0.75)


def test_one_attribute_cannot_be_entangled():
    with pytest.raises(ValueError, match="two attributes"):
        curve_of([torch.zeros(2, 1)], 0)


class Pretended:
    """Edits of `a` are perfect, those of `b` change everything."""

    names, edited, about = ("a", "b", "c"), (0, 1), {"method": "pretended"}

    def scores(self, attribute: int, count: int, seed: int) -> list[torch.Tensor]:
        assert seed == 5
        end = torch.eye(3)[0] if attribute == 0 else torch.ones(3)
        return [torch.zeros(count, 3), end.expand(count, 3)]


def test_the_metric_measures_what_is_handed_in():
    context = network_context(tiny_model(), None, NoData(), seed=5, num=7, manipulation=lambda model: Pretended())
    result = registry.evaluate("mds", context)
    assert result["results"] == {"mds": 0.75, "mds_a": 1.0, "mds_b": 0.5}
    assert (result["num_edits"], result["method"]) == (7, "pretended")


def test_the_metric_needs_a_method():
    context = network_context(tiny_model(), None, NoData())
    with pytest.raises(UserError, match=r"'mds' does not apply: it measures what --method of calc_metrics\.py names"):
        registry.evaluate("mds", context)
    with pytest.raises(UserError, match="it measures what --method"):
        registry.check(["mds"], tiny_model().config)  # as a training does
    registry.check(["mds"], tiny_model().config, ["--method"])


@pytest.mark.slow
def test_a_fitted_field_is_scored_by_its_own_condition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    few = MappingOptions(layers=2, features=32, steps=50, batch=64)
    monkeypatch.setattr("editing.latent.sgf.learn", lambda z, c, options, seed: learn(z, c, few, seed))
    network, condition = save_tiny_snapshot(tmp_path), script(tmp_path / "mean.pt", Means())
    dest = tmp_path / "field.safetensors"
    fit = ["directions", f"--network={network}", "--method=sgf", f"--condition={condition}", f"--dest={dest}"]
    fit += ["--samples=200", "--columns=2", "--device=cpu"]
    assert CliRunner().invoke(edit.main, fit).exit_code == 0
    found = replace(Manipulate(str(dest), samples=200), attributes=("mean1",))(Model.load(network, "cpu"))
    assert found.names == ("mean0", "mean1", "mean2")
    assert found.about == {"method": "sgf", "condition": condition, "samples": "200"}
    scores = found.scores(1, 5, 0)
    assert len(scores) > 1
    assert all(list(each.shape) == [5, 3] for each in scores)


def test_what_else_changes_needs_another_attribute(tmp_path: Path):
    make = Manipulate("sefa", (script(tmp_path / "bright.pt", Brightness()),))
    with pytest.raises(UserError, match="the condition measures 'bright' alone; name another --condition, too"):
        make(tiny_model())


@pytest.mark.parametrize("words, complaint", [
    ("--method=nothing", "no such file, and no such method"),
    ("--attributes=red", "name what it measures with --method"),
    ("--condition=scene:faces", "name what it measures with --method"),
])  # fmt: skip
def test_bad_words_are_refused_in_one_line(words: str, complaint: str):
    result = CliRunner().invoke(calc_metrics.main, ["--network=x", "--metrics=mds", *words.split()])
    assert result.exit_code == 2
    assert complaint in result.output
    assert result.output.count("\n") == 1
