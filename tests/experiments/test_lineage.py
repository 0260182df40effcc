"""The table of backbones: every run of the list resolves, and there is each one alone, with SEL, and with alignment."""

from collections import Counter
from pathlib import Path

import pytest

from experiments import evidence, lineage
from experiments.evidence import is_known, read_list
from train import main as train_command
from training.presets.options import Options
from training.presets.resolve import DataFacts, assumed_condition, condition_of, resolve

RUNS = read_list(Path(evidence.__file__).with_name("lineage.yaml"))
FACTS = DataFacts("critters32", resolution=32, num_channels=3, size=8000)


def configuration(run):
    """What train.py would be asked for."""
    with train_command.make_context("train", list(run.train)) as context:
        given = {name: value for name, value in context.params.items() if value is not None}
    names = {name: value for name, value in given.items() if name in Options.__dataclass_fields__}
    options = Options(**{**names, "data": "critters32.zip"})
    return resolve(options, assumed_condition(FACTS, condition_of(options)))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_run_is_what_its_name_says(run):
    config = configuration(run)
    assert all(map(is_known, run.metrics))
    if run.name.startswith("question"):
        return
    backbone, kind, seed = run.name.split("-")
    assert config.generator.backbone == backbone
    assert (config.generator.encoding is not None, config.align.weight) == {
        "alone": (False, 0), "sel": (True, 0), "align": (True, 1),
    }[kind]  # fmt: skip
    assert config.seed == int(seed)


def test_every_backbone_has_its_six_runs():
    counts = Counter(run.name.split("-")[0] for run in RUNS)
    backbones = ("stylegan2", "stylegan", "progan", "biggan", "r3gan", "spade", "stackgan")
    assert counts == dict.fromkeys(backbones, 6) | {"question": 4}


def test_the_questions_differ_in_what_they_ask():
    found = {run.name: configuration(run) for run in RUNS if run.name.startswith("question")}
    assert found["question-mbstd"].discriminator.mbstd_num_channels == 1
    assert found["question-no-mbstd"].discriminator.mbstd_num_channels == 0
    assert [found[f"question-{name}"].loss.g_orthogonal for name in ("orthogonal", "no-orthogonal")] == [1e-4, 0]


def test_what_could_not_be_measured_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    values = {"rfd5k_full": {"rfd5k_full": 2.0}, "centroid_co_move": {"from_prior": None}}
    monkeypatch.setattr(lineage, "newest_run", lambda folder: tmp_path)
    monkeypatch.setattr(lineage, "kimg_of", lambda folder: 1.0)
    monkeypatch.setattr(lineage, "values_of", lambda folder, name, kimg: values.get(name))
    run = next(run for run in RUNS if run.name == "stylegan2-align-0")
    assert lineage.figures_of(run, tmp_path) == {"rfd5k_full": 2.0}


def test_the_table_has_means_over_seeds_and_dashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    figures = {
        "progan-alone-0": {"rfd5k_full": 2.0, "s/kimg": 30.0}, "progan-alone-1": {"rfd5k_full": 3.0, "s/kimg": 34.0},
        "progan-sel-0": {"centroid_co_move": 0.5},
    }  # fmt: skip
    monkeypatch.setattr(lineage, "figures_of", lambda run, outdir: figures.get(run.name, {}))
    lines = lineage.table(RUNS, tmp_path).splitlines()
    assert lines[0] == "| backbone |  | rfd5k_full | centroid_co_move | locality | s/kimg |"
    assert "| progan | alone | 2.5 ± 0.5 | - | - | 32 ± 2 |" in lines
    assert "| progan | + SEL | - | 0.5 | - | - |" in lines
    assert "| biggan | + SEL, alignment | - | - | - | - |" in lines
    assert len(lines) == 2 + 7 * 3


def test_a_run_that_is_not_there_has_no_figures(tmp_path: Path):
    assert lineage.figures_of(RUNS[0], tmp_path) == {}
