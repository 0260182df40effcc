"""Files of weights: whose they are, and that nothing in them runs."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from dnnlib import downloads
from dnnlib.errors import UserError
from metrics.extractors import weights
from metrics.extractors.weights import PUBLISHED, WeightFiles, parse_weights, read_tensors

TENSORS = {"a": torch.ones(2), "b": torch.zeros(3)}


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code in a file of weights was run",))


def test_both_formats_are_read(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pth")
    save_file(TENSORS, tmp_path / "a.safetensors")
    for path in tmp_path.iterdir():
        assert {name: value.tolist() for name, value in read_tensors(path).items()} == {"a": [1, 1], "b": [0, 0, 0]}


OTHERS = {"code": Bomb(), "code inside": {"a": Bomb()}, "a number": {"a": 1}, "a list": [torch.ones(1)]}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS.keys())
def test_other_contents_are_refused_and_not_run(content, tmp_path):
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"bad\.pth: no file of weights"):
        read_tensors(tmp_path / "bad.pth")


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_file_cut_short_is_refused(name, tmp_path):
    torch.save(TENSORS, tmp_path / "whole.pth")
    (tmp_path / name).write_bytes((tmp_path / "whole.pth").read_bytes()[:300])
    with pytest.raises(UserError, match="no file of weights, or cut short"):
        read_tensors(tmp_path / name)


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(UserError, match="no file of weights"):
        read_tensors(tmp_path / "old.pkl")


def test_weights_on_the_command_line(tmp_path):
    file = tmp_path / "x.pth"
    file.touch()
    assert parse_weights([f"inception={file}"], {"vgg16"}) == {"inception": file}
    assert parse_weights([str(file)], {"vgg16"}) == {"vgg16": file}
    with pytest.raises(UserError, match=r"whose weights are they.*lpips, vgg16"):
        parse_weights([str(file)], {"vgg16", "lpips"})
    with pytest.raises(UserError, match="these metrics need none"):
        parse_weights([str(file)], set())
    with pytest.raises(UserError, match="no extractor has weights 'incepton'; did you mean 'inception'"):
        parse_weights([f"incepton={file}"], set())
    with pytest.raises(UserError, match=r"there is no file nowhere\.pth"):
        parse_weights(["vgg16=nowhere.pth"], set())


def test_given_files_go_before_published_ones(tmp_path):
    file = tmp_path / "x.safetensors"
    save_file(TENSORS, file)
    state, digest = WeightFiles({"inception": file}).load("inception")
    assert state.keys() == TENSORS.keys()
    assert digest == downloads.sha256_of(file)


def test_published_files_are_looked_for_in_the_cache(monkeypatch, cache):
    asked = []
    monkeypatch.setattr(weights, "fetch", lambda file, folder, show: asked.append((file, folder)) or folder / file.name)
    assert WeightFiles().path("vgg16") == cache / "weights" / "vgg16-397923af.pth"
    assert asked == [(PUBLISHED["vgg16"], cache / "weights")]


def test_published_files_are_named_with_their_digest():
    for file in PUBLISHED.values():
        assert len(file.sha256) == 64
        assert file.url.startswith("https://")
        assert file.url.endswith(file.name)
        in_name = file.name.removesuffix(".pth").split("-")[-1]
        assert len(in_name) != 8 or file.sha256.startswith(in_name)
