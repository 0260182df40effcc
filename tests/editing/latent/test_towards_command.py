"""edit.py towards: what it says and writes, targets that cannot be reached, and bad input in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor, nn

import edit
import generate
from dnnlib.json_files import read_json
from editing.document import Document, from_json
from editing.latent.auxiliary import MappingOptions, learn
from editing.latent.methods import METHODS
from editing.latent.sefa import sefa
from editing.latent.target_request import TargetWish, parse_wishes
from editing.rendering import render
from tests.editing.latent.conditions.test_files import Means, script
from tests.tiny_models import save_tiny_snapshot, tiny_model
from training.latent.directions import save_directions
from training.layouts.files import load_layout
from training.sampling import Model

FEW = MappingOptions(layers=2, features=32, steps=100, batch=64)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models and a condition that measures the mean of each channel."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in {"plain": {}, "scene": {"method": "spatialgan-indoor"}, "classes": {"classes": 3}}.items():
        (folder / name).mkdir()
        save_tiny_snapshot(folder / name, **options)
    script(folder / "mean.pt", Means())
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mappings learn for a moment only."""
    monkeypatch.setattr("editing.latent.sgf.learn", lambda z, c, options, seed: learn(z, c, FEW, seed))


def towards(runs: Path, out: Path, words: str, network: str = "plain", condition: str = "mean.pt") -> Result:
    given = [f"--network={runs / network}", f"--out={out}", "--device=cpu", *words.split()]
    if "--samples" not in words:
        given.append("--samples=100")
    if condition:
        given.append(f"--condition={runs / condition}")
    return CliRunner().invoke(edit.main, ["towards", *given])


def mean_of(model: Model, seed: int) -> list[float]:
    return model.images([seed]).mean((2, 3))[0].tolist()


@pytest.mark.parametrize("method", [*METHODS, "sgf --space=z", "optimization --space=z", "sefa --layers=0-2"])
def test_every_method_says_where_it_came_from_and_where_it_is(runs: Path, tmp_path: Path, method: str):
    saved = f"--save-latents={tmp_path}/w.npz --save-layout={tmp_path}/l.json"
    words = f"--seed=5 --target=mean1-=0.8 --max-steps=4 --frames=3 {saved} --method={method}"
    result = towards(runs, tmp_path / "strip.png", words)
    assert result.exit_code == 0, result.output
    model = Model.load(runs / "plain", "cpu")
    before = mean_of(model, 5)
    first, second, *others, last = result.output.splitlines()
    assert first.startswith(f"mean1: {before[1]:.3f} -> ")
    assert f"wanted {before[1] - 0.8:.3f} +- " in first
    assert second.startswith(("reached the target after ", "the target was not reached ("))
    assert sorted(line.split(":")[0] for line in others) == ["  also mean0", "  also mean2"]
    assert last == f"wrote {tmp_path / 'strip.png'}, {tmp_path / 'w.npz'}, {tmp_path / 'l.json'}"
    ws = torch.from_numpy(np.load(tmp_path / "w.npz")["w"])
    after = model.images([5], ws=ws)  # the seed's layout
    found = float(after.mean((2, 3))[0, 1])
    assert f"-> {found:.3f}," in first
    if method != "sgf-fast":  # which looks only at the end whether it came nearer
        assert abs(found - (before[1] - 0.8)) < 0.79  # of 0.8 at the start


def test_a_target_that_can_be_reached_is(runs: Path, tmp_path: Path):
    words = "--seed=5 --target=mean1-=0.8 --method=optimization --tolerance=0.2"
    result = towards(runs, tmp_path / "strip.png", words)
    first, second, *_ = result.output.splitlines()
    assert int(second.removeprefix("reached the target after ").removesuffix(" steps")) > 0
    change, _, tolerance = first.partition(" +- ")
    after, wanted = (float(text) for text in change.partition("-> ")[2].split(", wanted "))
    assert abs(after - wanted) <= float(tolerance) + 0.001


@pytest.mark.parametrize("method", ["sgf", "sgf-fast", "interfacegan", "optimization"])
def test_one_that_cannot_ends_with_the_nearest_and_says_so(runs: Path, tmp_path: Path, method: str):
    words = f"--target=mean0=40 --method={method} --max-steps=6 --save-latents={tmp_path}/w.npz"
    result = towards(runs, tmp_path / "strip.png", words)
    assert result.exit_code == 0, result.output
    first, said, *_ = result.output.splitlines()
    assert "the target was not reached (" in said
    assert "this is the nearest picture that was found, after " in said
    assert "times the tolerance away" in said
    ws = torch.from_numpy(np.load(tmp_path / "w.npz")["w"])
    found = float(Model.load(runs / "plain", "cpu").images([0], ws=ws).mean((2, 3))[0, 0])
    assert f"-> {found:.3f}," in first


def test_the_files_make_the_last_picture_of_the_strip_again(runs: Path, tmp_path: Path):
    saved = f"--save-latents={tmp_path}/w.npz --save-layout={tmp_path}/l.json --save-session={tmp_path}/s.json"
    words = f"--seed=3 --target=mean0+=0.3;mean2-=0.4 --max-steps=5 --frames=4 {saved} --video={tmp_path}/a.gif"
    result = towards(runs, tmp_path / "strip.png", words.replace(";", " --target="))
    assert result.exit_code == 0, result.output
    strip = np.asarray(Image.open(tmp_path / "strip.png"))
    cells = [strip[:64:4, start : start + 64 : 4] for start in range(0, strip.shape[1], 66)]
    model = Model.load(runs / "plain", "cpu")
    documents = Document(seed=3), from_json(read_json(tmp_path / "s.json"))
    for document, cell in zip(documents, (cells[0], cells[-1]), strict=True):
        assert np.abs(render(model, document).image.astype(int) - cell).max() <= 1
    assert not np.array_equal(cells[0], cells[-1])
    words = [f"--latents={tmp_path}/w.npz", f"--layout={tmp_path}/l.json", f"--outdir={tmp_path}/again"]
    assert CliRunner().invoke(generate.main, [f"--network={runs}/plain", "--device=cpu", *words]).exit_code == 0
    again = np.asarray(Image.open(tmp_path / "again/latent0000.png"))
    assert np.abs(again.astype(int) - cells[-1]).max() <= 1
    assert json.loads((tmp_path / "s.json").read_text())["network"] == model.config.name
    assert Image.open(tmp_path / "a.gif").n_frames >= len(cells)


def test_the_layout_moves_where_that_is_asked_for(runs: Path, tmp_path: Path):
    saved = f"--save-latents={tmp_path}/w.npz --save-layout={tmp_path}/l.json"
    words = f"--seed=5 --target=mean1-=0.8 --method=optimization --space=w+layout --max-steps=6 {saved}"
    said = towards(runs, tmp_path / "a.png", words).output
    model, layout = Model.load(runs / "plain", "cpu"), load_layout(tmp_path / "l.json")
    assert not torch.allclose(layout.centers[0], model.layout([5]).centers[0])
    ws = torch.from_numpy(np.load(tmp_path / "w.npz")["w"])
    found = float(model.images([5], ws=ws, layout=layout).mean((2, 3))[0, 1])
    assert f"-> {found:.3f}," in said


@pytest.mark.parametrize("method", ["sgf", "sgf-fast", "optimization"])
def test_a_target_that_is_there_already_changes_nothing_and_says_so(runs: Path, tmp_path: Path, method: str):
    before = mean_of(Model.load(runs / "plain", "cpu"), 5)[1]
    result = towards(runs, tmp_path / "a.png", f"--seed=5 --target=mean1+=0.0001 --method={method}")
    assert result.exit_code == 0
    assert result.output.startswith(f"mean1: {before:.3f} -> {before:.3f}, wanted ")
    assert result.output.splitlines()[1].startswith("the target is within the tolerance already: nothing was changed")


def test_it_goes_on_from_what_it_wrote(runs: Path, tmp_path: Path):
    saved = f"--save-latents={tmp_path}/w.npz --save-layout={tmp_path}/l.json"
    first = towards(runs, tmp_path / "a.png", f"--target=mean1-=0.5 --max-steps=5 --method=optimization {saved}").output
    start = f"--latents={tmp_path}/w.npz --layout={tmp_path}/l.json"
    words = f"{start} --target=mean1+=0.5 --method=optimization --max-steps=2"
    then = towards(runs, tmp_path / "b.png", words).output
    reached = first.splitlines()[0].partition("-> ")[2].partition(",")[0]
    assert then.startswith(f"mean1: {reached} -> ")


def test_fitted_files_are_methods(runs: Path, tmp_path: Path):
    fixed = ["directions", f"--network={runs / 'plain'}", "--device=cpu", "--samples=100", "--columns=2"]
    for method in ("sgf", "interfacegan"):
        dest = tmp_path / f"{method}.safetensors"
        learns = [f"--method={method}", f"--condition={runs / 'mean.pt'}", f"--dest={dest}"]
        said = CliRunner().invoke(edit.main, [*fixed, *learns]).output.splitlines()
        assert said[0] == "9 in 10 of 100 random pictures have"
        assert [line.partition(":")[0] for line in said[1:-1]] == ["  mean0", "  mean1", "  mean2"]
    words = "--target=mean1-=0.8 --max-steps=4 --method="
    field = towards(runs, tmp_path / "a.png", f"{words}{tmp_path}/sgf.safetensors", condition="")  # it knows its own
    assert field.output.startswith("mean1: ")
    line = towards(runs, tmp_path / "b.png", f"{words}{tmp_path}/interfacegan.safetensors")
    assert line.output.startswith("mean1: ")
    refused = towards(runs, tmp_path / "c.png", f"{words}{tmp_path}/sgf.safetensors --layers=0-1", condition="")
    assert "sgf.safetensors says which layers move; leave it out" in refused.output
    assert refused.exit_code == 2
    elsewhere = towards(runs, tmp_path / "d.png", f"{words}{tmp_path}/sgf.safetensors --class=1", "classes", "")
    assert elsewhere.exit_code == 0, elsewhere.output
    assert elsewhere.stderr == ""  # a model of the same name


@pytest.mark.slow
def test_a_field_whose_condition_is_gone_names_both(runs: Path, tmp_path: Path):
    condition, dest = script(tmp_path / "gone.pt", Means()), tmp_path / "field.safetensors"
    words = [f"--network={runs / 'plain'}", f"--condition={condition}", f"--dest={dest}", "--method=sgf"]
    fit = ["directions", *words, "--samples=100", "--columns=2", "--device=cpu"]
    assert CliRunner().invoke(edit.main, fit).exit_code == 0
    Path(condition).unlink()
    refused = towards(runs, tmp_path / "a.png", f"--target=gone0=1 --method={dest}", condition="")
    assert refused.exit_code == 2
    assert f"{dest} was fitted to a condition that is not to be had: --condition " in refused.output
    assert "gone.pt: no such file" in refused.output


def test_files_that_were_made_for_another_model_are_told_of(runs: Path, tmp_path: Path):
    directions = replace(sefa(tiny_model(), 3), network="another")
    path = save_directions(tmp_path / "a.safetensors", directions)
    words = f"--target=mean1-=0.8 --max-steps=2 --method={path}"
    result = towards(runs, tmp_path / "a.png", words)
    assert result.exit_code == 0
    assert result.stderr == f"{path} was made for another; in small it may do something else, or nothing\n"


class OneIsConstant(nn.Module):
    """The mean of all, and a number that is the same but for rounding."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=[1, 2, 3])
        return torch.stack([mean, 0.3 + 1e-8 * mean], dim=1)


@pytest.mark.parametrize("method", ["sgf", "optimization", "sefa"])
def test_an_attribute_that_is_always_the_same_cannot_be_wished_for(runs: Path, tmp_path: Path, method: str):
    script(tmp_path / "one.pt", OneIsConstant())
    refused = towards(runs, tmp_path / "a.png", f"--target=one1=1 --method={method}", condition=tmp_path / "one.pt")
    assert refused.exit_code == 2
    assert "attribute 'one1' is the same in all 100 random pictures; nothing is known to move it" in refused.output
    assert refused.output.count("\n") == 1
    assert not (tmp_path / "a.png").exists()
    words = f"--target=one0-=0.3 --method={method} --max-steps=10"
    result = towards(runs, tmp_path / "a.png", words, condition=tmp_path / "one.pt")  # the other can be, all the same
    assert result.exit_code == 0, result.output
    assert "also one1: 0.300 -> 0.300" in result.output


@pytest.mark.parametrize("method", ["sgf", "sgf-fast", "interfacegan", "optimization"])
def test_numbers_of_a_target_far_off_are_short(runs: Path, tmp_path: Path, method: str):
    result = towards(runs, tmp_path / "a.png", f"--target=mean1=-1e30 --max-steps=5 --method={method}")
    assert result.exit_code == 0, result.output
    assert ", wanted -1e+30 +- " in result.output
    assert "e+" in result.output.splitlines()[1].partition("times the tolerance")[0]
    assert max(map(len, result.output.splitlines()[:2])) < 140


def test_models_with_classes(runs: Path, tmp_path: Path):
    words = "--target=mean1-=0.8 --method=optimization --max-steps=2"
    for label in ("1", "0,1,0"):
        result = towards(runs, tmp_path / "a.png", f"{words} --space=z --class={label}", "classes")
        start = tiny_model(classes=3).images([0], labels=[1]).mean((2, 3))[0, 1]
        assert result.output.startswith(f"mean1: {start:.3f} -> "), result.output
    refused = towards(runs, tmp_path / "b.png", words, "classes")
    assert refused.exit_code == 2
    assert "give a --class" in refused.output


@pytest.mark.parametrize("words, network, condition, complaint", [
    ("--target=mean1", "plain", "mean.pt", "is not of the form NAME=VALUE"),
    ("--target==1", "plain", "mean.pt", "is not of the form NAME=VALUE"),
    ("--target=;", "plain", "mean.pt", "--target is empty"),
    ("--target=mean1=much", "plain", "mean.pt", "must be 1 comma-separated number"),
    ("--target=mean1=nan", "plain", "mean.pt", "must be finite numbers"),
    ("--target=mean1=1e300", "plain", "mean.pt", "a target needs finite numbers"),
    ("--target=mean1=1;mean1+=1", "plain", "mean.pt", "'mean1' is wished for twice"),
    ("--target=mean7=1", "plain", "mean.pt", "no attribute 'mean7'; did you mean 'mean"),
    ("--target=mean1=1 --method=optimize", "plain", "mean.pt", "did you mean 'optimization'"),
    ("--target=mean1=1 --method=sefa --space=z", "plain", "mean.pt", "there are none in z"),
    ("--target=mean1=1 --method=sefa --space=w+layout", "plain", "mean.pt", "there are none in w+layout"),
    ("--target=mean1=1 --layers=2-1", "plain", "mean.pt", "is not of the form A-B"),
    ("--target=mean1=1 --space=z --layers=0-1", "plain", "mean.pt", "--layers are of space w"),
    ("--target=mean1=1 --tolerance=0", "plain", "mean.pt", "Invalid value"),
    ("--target=mean1=1 --latents=gone.npz", "plain", "mean.pt", "no such file"),
    ("--target=mean1=1 --layout=gone.json", "plain", "mean.pt", "gone.json"),
    ("--target=mean1=1 --class=1", "plain", "mean.pt", "trained without labels"),
    ("--target=mean1=1", "plain", "gone.pt", "no such file"),
    ("--target=mean1=1", "plain", "", "no toy scenes are known for none"),
    ("--target=mean1=1", "scene", "mean.pt", "a latent for each object"),
    ("--target=mean1=1", "gone", "mean.pt", "gone"),
])  # fmt: skip
def test_bad_requests_are_refused_in_one_line(
    runs: Path, tmp_path: Path, words: str, network: str, condition: str, complaint: str
):
    result = towards(runs, tmp_path / "deep" / "a.png", words, network, condition)
    assert result.exit_code == 2, result.output
    assert complaint in result.output
    assert result.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_folders_in_the_place_of_files_are_refused(runs: Path, tmp_path: Path):
    (tmp_path / "a.json").mkdir()
    words = f"--target=mean1=1 --save-session={tmp_path}/a.json"
    result = towards(runs, tmp_path / "strip.png", words)
    assert result.exit_code == 2
    assert "this is a directory" in result.output
    assert not (tmp_path / "strip.png").exists()


def test_files_that_cannot_be_written_are_found_out_before_the_work(runs: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("editing.latent.target_request.load_model", None)
    (tmp_path / "file").write_text("")
    below = towards(runs, tmp_path / "file" / "deep" / "a.png", "--target=mean1=1")
    assert (below.exit_code, below.output.count("file is a file; choose another one")) == (2, 1)
    words = f"--target=mean1=1 --save-session={tmp_path}/a.json --save-layout={tmp_path}/./a.json"
    twice = towards(runs, tmp_path / "a.png", words)
    assert (twice.exit_code, twice.output.count("two files are to have this name")) == (2, 1)


@pytest.mark.parametrize("text, wishes", [
    ("red=0.5", [TargetWish("red", 0.5, False)]),
    ("red=-0.5", [TargetWish("red", -0.5, False)]),
    ("red += 0.5; x-=1e-1", [TargetWish("red", 0.5, True), TargetWish("x", -0.1, True)]),
    ("a face = happy+=1", [TargetWish("a face = happy", 1.0, True)]),
    ("eye-0_x=1", [TargetWish("eye-0_x", 1.0, False)]),
])  # fmt: skip
def test_the_form_of_wishes(text: str, wishes: list[TargetWish]):
    assert parse_wishes([text]) == wishes
