"""convert.py: pickles in, every form out, in words, and other families by their names."""

import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

import calc_metrics
import generate
from convert import main
from interop.cards import card
from interop.pickles.reference_networks import read_reference
from tests.golden.cases import FOLDER, translated
from tests.interop.hostile import dictionary, module, named, pickled
from tests.tiny_models import save_tiny_snapshot, tiny_model
from tests.training.networks.lineage import conditioned_config, discriminator, generator
from tests.training.saved import save_snapshot
from training.runs.shipped import save_shipped
from training.runs.snapshot import open_snapshot
from training.sampling import Model

PICKLE = FOLDER / "tiny_reference_nosrc.pkl"


def run(*words: object, status: int = 0) -> str:
    """What convert.py prints; an error is one line."""
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == status, done.output
    if status:
        assert len(done.output.strip().splitlines()) == 1
    return done.output


def test_a_pickle_becomes_a_snapshot_with_its_origin_beside_it(tmp_path: Path):
    run(PICKLE, tmp_path / "net.safetensors")
    snapshot, found = open_snapshot(tmp_path / "net.safetensors"), read_reference(PICKLE)
    assert snapshot.config == found.config
    assert all(torch.equal(t, found.tensors[f"G_ema.{name}"]) for name, t in snapshot.generator().state_dict().items())
    about = json.loads((tmp_path / "net.json").read_text())
    assert (about["source"], about["sha256"]) == (PICKLE.name, found.sha256)


def test_a_folder_takes_a_snapshot_named_by_its_images(tmp_path: Path):
    run(PICKLE, tmp_path / "new", "--as=snapshot")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "network-snapshot-000000.json", "network-snapshot-000000.safetensors"]  # fmt: skip


def test_a_pickle_is_taken_wherever_a_network_is(tmp_path: Path):
    words = [f"--network={PICKLE}", "--seeds=0-1", f"--outdir={tmp_path}", "--trunc=0.7"]
    assert CliRunner().invoke(generate.main, words).exit_code == 0
    assert (tmp_path / "seed0001.png").is_file()
    said = CliRunner().invoke(calc_metrics.main, [f"--network={PICKLE}", "--metrics=di"])
    assert said.exit_code == 2  # past the network: its data is not here
    assert "/data/tiny.zip" in said.output


def test_state_dicts_come_back_from_the_references_names(tmp_path: Path):
    snapshot = save_tiny_snapshot(tmp_path, "stylegan2")
    run(snapshot, tmp_path / "net.pth")
    states = torch.load(tmp_path / "net.pth", weights_only=True)
    ours = open_snapshot(snapshot).generator().state_dict()
    back = translated(states["G_ema"])
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)
    assert "synthesis.b8.conv0.resample_filter" in states["G_ema"]
    run(snapshot, tmp_path / "flat.safetensors", "--as=state-dict")
    assert (tmp_path / "flat.safetensors").is_file()


def test_a_model_that_is_given_away_has_no_g(tmp_path: Path):
    said = run(Path(__file__).parents[2] / "models/faces32.safetensors", tmp_path / "net.pth")
    assert "tensors of G_ema, D in the reference's names" in said
    states = torch.load(tmp_path / "net.pth", weights_only=True)
    assert set(states) == {"D", "G_ema"}
    assert "mapping.fc0.weight" in states["G_ema"]


def test_names_that_the_reference_has_not(tmp_path: Path):
    snapshot = save_tiny_snapshot(tmp_path, "spatialgan-indoor")
    assert "has no encoding layer indoor" in run(snapshot, tmp_path / "net.pth", status=2)
    assert "has no encoding layer indoor" in run(snapshot, tmp_path / "deep" / "net.pth", status=2)
    assert list(tmp_path.iterdir()) == [snapshot]


def test_a_model_that_was_given_away_can_be_copied(tmp_path: Path):
    """Its weights are float16, which the copy has to say."""
    save_shipped(tmp_path / "given.safetensors", open_snapshot(save_tiny_snapshot(tmp_path)))
    run(tmp_path / "given.safetensors", tmp_path / "copy.safetensors")
    run(tmp_path / "copy.safetensors", tmp_path / "again.safetensors")
    images = [Model.load(tmp_path / f"{name}.safetensors", "cpu").images([1, 2]) for name in ("given", "copy", "again")]
    assert images[0].equal(images[1])
    assert images[0].equal(images[2])


def test_a_snapshot_can_be_copied_out_of_a_run(tmp_path: Path):
    snapshot = save_tiny_snapshot(tmp_path)
    run(tmp_path, tmp_path / "copy.safetensors")
    assert open_snapshot(tmp_path / "copy.safetensors").config == open_snapshot(snapshot).config


def test_what_leaves_has_a_card(tmp_path: Path):
    snapshot = save_tiny_snapshot(tmp_path)
    for dest in ("copy.safetensors", "net.pth"):
        said = run(snapshot, tmp_path / dest, "--license=cc-by-4.0")
        card = tmp_path / f"{dest}.card" / "README.md"
        assert f"wrote {card}" in said
        assert "license: cc-by-4.0" in card.read_text()
        assert f"- `{dest}`" in card.read_text()
        assert (card.parent / "steering.png").is_file()
    assert 'torch.load("net.pth", weights_only=True)' in (tmp_path / "net.pth.card" / "README.md").read_text()
    assert "Model.load(" in (tmp_path / "copy.safetensors.card" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name, package", [("net.pt2", "torch"), ("net.onnx", "onnxscript"), ("net", "safetensors")])
def test_what_a_card_says_of_use_runs(tmp_path: Path, name: str, package: str):
    pytest.importorskip(package)
    run(save_tiny_snapshot(tmp_path), tmp_path / name)
    folder = tmp_path / (name if package == "safetensors" else f"{name}.card")
    code = (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    where = folder if package == "safetensors" else tmp_path
    done = subprocess.run([sys.executable, "-c", f"{code}\nprint(list(image.shape))"], cwd=where, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[1, 3, 16, 16]" in done.stdout


def test_options_that_say_nothing_of_a_form_are_refused(tmp_path: Path):
    for form in ("snapshot", "state-dict"):
        assert "--latent=ws is about programs" in run(PICKLE, tmp_path / "new" / "a", f"--as={form}", "--latent=ws",
                                                      status=2)  # fmt: skip
    assert "--license is for a card" in run(PICKLE, tmp_path / "new" / "a.safetensors", "--license=mit", status=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["snapshot", "state-dict", "onnx", "program"])
def test_a_network_is_not_written_over_itself(tmp_path: Path, form: str):
    snapshot = save_tiny_snapshot(tmp_path, "stylegan2")
    before = snapshot.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(snapshot)
    for dest in (snapshot, tmp_path / "link.safetensors"):
        assert "is the network itself; give another name" in run(snapshot, dest, f"--as={form}", status=2)
    assert "is the network itself" in run(tmp_path, tmp_path if form == "snapshot" else snapshot, f"--as={form}",
                                          status=2)  # fmt: skip
    assert snapshot.read_bytes() == before


def test_what_stands_in_the_way_is_found_before_the_work(tmp_path: Path):
    (tmp_path / "a.onnx").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "run").mkdir()
    snapshot = save_tiny_snapshot(tmp_path / "run")
    assert "a.onnx: this is a directory; name a file" in run(snapshot, tmp_path / "a.onnx", status=2)
    assert "file: there is a file of that name; name a folder" in run(snapshot, tmp_path / "file", status=2)
    assert "a name of one line" in run(snapshot, tmp_path / "b.pth", "--license=a\nb", status=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "file", "run"]


def test_endings_in_capitals(tmp_path: Path):
    run(save_tiny_snapshot(tmp_path), tmp_path / "NET.PTH")
    run(tmp_path, tmp_path / "NET.SAFETENSORS")
    assert (tmp_path / "NET.PTH").is_file()
    assert (tmp_path / "NET.SAFETENSORS").is_file()


@pytest.mark.parametrize("dest", ["model.zip", "model.pkl", "model.onnx.gz"])
def test_endings_that_stand_for_nothing(dest: str):
    assert "which form? Endings are .safetensors (snapshot)" in run(PICKLE, dest, status=2)


def test_info_in_words(tmp_path: Path):
    said = run("info", PICKLE)
    assert "a network pickle of StyleGAN2-ADA (PyTorch) or EqGAN-SA" in said
    assert "makes: images of 32x32, 3 channels, no classes" in said
    assert "layout: none, it is not steered" in said
    said = run("info", save_tiny_snapshot(tmp_path, kimg=1.0))
    assert "method spatialgan, backbone stylegan2; it has been shown 1 thousand images" in said
    assert "1/2/4 centres at levels 0/1/2, heard by SEL norm (coarse); sampler paper" in said


FAMILIES = {
    "StyleGAN3": pickled(dictionary(G_ema=module("Generator", synthesis=module("SynthesisInput")))),
    "StyleGAN-XL": pickled(dictionary(D=module("ProjectedDiscriminator"), G_ema=module("SuperresGenerator"))),
    "R3GAN": pickled(dictionary(G_ema=module("Generator", a=named("R3GAN.Networks", "GenerativeBasis")))),
    "TensorFlow-era": b"\x80\x02" + named("dnnlib.tflib.network", "Network") + b")\x81.",
    "rosinality-style": b"".join(map(pickle.dumps, (1, 2, 3, {"g_ema": {"style.1.weight": 0}}))),
    "EDM": pickled(dictionary(ema=module("EDMPrecond"))),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_other_families_are_refused_by_name_with_what_to_do(family: str, tmp_path: Path):
    (tmp_path / "net.pkl").write_bytes(FAMILIES[family])
    for words in ((tmp_path / "net.pkl", tmp_path / "out.safetensors"), ("info", tmp_path / "net.pkl")):
        said = run(*words, status=2)
        assert family in said
        assert "; " in said
    assert [path.name for path in tmp_path.iterdir()] == ["net.pkl"]


def test_what_torch_saves_today_is_refused_by_name(tmp_path: Path):
    torch.save({"g_ema": {"style.1.weight": torch.zeros(2)}}, tmp_path / "a.pt")
    assert "rosinality-style" in run(tmp_path / "a.pt", tmp_path / "b.safetensors", status=2)
    torch.save({"model": torch.zeros(2)}, tmp_path / "c.pt")
    assert "a PyTorch checkpoint (torch.save)" in run(tmp_path / "c.pt", tmp_path / "b.safetensors", status=2)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("data.pkl", b"x" * 1000)
    assert "or another zip archive" in run(tmp_path / "d.zip", tmp_path / "b.safetensors", status=2)


def test_what_is_not_there_and_what_is_no_network(tmp_path: Path):
    assert "no such file" in run(tmp_path / "a.pkl", tmp_path / "b.safetensors", status=2)
    (tmp_path / "a.txt").write_text("hello")
    assert "not a readable snapshot" in run(tmp_path / "a.txt", tmp_path / "b.safetensors", status=2)
    assert "Missing argument" in run(PICKLE, status=2)


def test_a_card_says_what_is_known(tmp_path: Path):
    (tmp_path / "data.json").write_text(json.dumps({"images": 1234, "path": "x"}))
    result = {"metric": "di", "kimg": 1, "results": {"di": 0.5, "worst": None}, "num_draws": 64, "data_hash": "ab"}
    (tmp_path / "metric-di.jsonl").write_text(json.dumps(result) + "\n")
    snapshot = tmp_path / "network-snapshot-000001.safetensors"
    said = card(tiny_model(), "cc-by-4.0", snapshot, ["net.onnx"])
    assert said.startswith("---\nlibrary_name: steergan\nlicense: cc-by-4.0\n")
    assert "| training images | 1,234 |" in said
    assert "| images shown | 1 thousand |" in said
    assert '| di | 0.5 | 1 kimg | `{"num_draws": 64, "data_hash": "ab"}` |' in said
    assert "| worst | not known | 1 kimg |" in said
    assert "- `net.onnx`" in said
    assert "trained by" not in said
    (tmp_path / "stats.jsonl").write_text("")
    assert "method spatialgan, trained by SteerGAN." in card(tiny_model(), "mit", snapshot)
    snapshot.with_suffix(".json").write_text(json.dumps({"source": "ffhq.pkl", "sha256": "ab12"}))
    assert "converted by SteerGAN from `ffhq.pkl` (SHA-256 ab12)" in card(tiny_model(), "mit", snapshot)
    bare = card(tiny_model("stylegan2"), "")
    assert "None are known." in bare
    assert "license: unknown" in bare
    assert "| resize filter of the data | not known |" in bare


def test_a_card_has_the_results_of_its_own_file(tmp_path: Path):
    mine, other = tmp_path / "mine.safetensors", tmp_path / "other.safetensors"
    about = {"kimg": 1.0, "seed": 3, "num_draws": 64, "layout_prior": None, "version": 1}
    lines = [
        {"results": {"di": 0.5}, "snapshot": mine.name, "trunc": 0.5, "layout_sha256": "ab", **about},
        {"results": {"di": 0.25}, "snapshot": other.name, "trunc": 1.0, "layout_sha256": None, **about},
    ]
    (tmp_path / "metric-di.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = tiny_model()
    told = '{"num_draws": 64, "seed": 3, "layout_prior": null, "version": 1'
    assert f'| di | 0.5 | 1 kimg | `{told}, "trunc": 0.5, "layout_sha256": "ab"}}` |' in card(model, "mit", mine)
    assert f"| di | 0.25 | 1 kimg | `{told}}}` |" in card(model, "mit", other)
    assert "None are known." in card(model, "mit", tmp_path / "third.safetensors")


def test_the_head_of_a_card_says_what_the_model_is(tmp_path: Path):
    def head(model: Model) -> dict:
        return yaml.safe_load(card(model, "mit").split("---\n")[1])

    assert head(tiny_model())["tags"] == ["gan", "stylegan2", "image-generation", "spatialgan"]
    assert head(tiny_model())["pipeline_tag"] == "unconditional-image-generation"
    assert "pipeline_tag" not in head(tiny_model(classes=3))
    for backbone, pipeline in (("stackgan", "text-to-image"), ("spade", "image-to-image")):
        config = conditioned_config(backbone)
        found = head(Model(generator(config), config, "cpu"))
        assert (found["tags"][1], found["pipeline_tag"]) == (backbone, pipeline)


@pytest.mark.parametrize("backbone, said", [
    ("stackgan", "captions of up to 6 words, of 4 that are known"), ("spade", "label maps of 3 classes"),
])  # fmt: skip
def test_a_card_of_a_model_of_captions_or_label_maps(backbone: str, said: str, tmp_path: Path):
    config = conditioned_config(backbone)
    networks = {"G_ema": generator(config), "D": discriminator(config)}
    save_snapshot(tmp_path / "net.safetensors", config, 1.0, networks)
    assert f"makes: images of 32x32, 3 channels, {said}" in run("info", tmp_path / "net.safetensors")
    run(tmp_path / "net.safetensors", tmp_path / "copy.safetensors")
    card = (tmp_path / "copy.safetensors.card" / "README.md").read_text()
    assert f"| conditions | {said} |" in card
    assert "labels=model.labels_in_turn(1)" in card


def test_a_steering_strip_is_a_picture(tmp_path: Path):
    from interop.cards import strip, write_card

    for method in ("spatialgan", "stylegan2", "spatialgan-indoor"):
        assert strip(tiny_model(method)).dtype == np.uint8
    write_card(tiny_model(), tmp_path, "mit")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "steering.png"]


