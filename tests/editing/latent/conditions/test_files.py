"""Classifiers of users: TorchScript archives, ONNX graphs and CLIP; what is something else is refused in one line."""

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from editing.latent.conditions import make_condition
from editing.latent.conditions.clip import DEVIATION, MEAN
from tests.optional import is_installed

EXAMPLE = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)

onnx_needed = pytest.mark.skipif(not is_installed("onnx") or not is_installed("onnxruntime"), reason="no onnxruntime")
tokenizers_needed = pytest.mark.skipif(not is_installed("tokenizers"), reason="tokenizers is missing")


class Means(nn.Module):
    """The mean of each channel."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=[2, 3])


class Brightness(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=[1, 2, 3])


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


class Nothing(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :0]


class OfSize64(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[2] == 64
        return images.mean(dim=[2, 3])


def script(path: Path, network: nn.Module) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network), str(path))
    return str(path)


def test_a_script_is_called_with_pictures(tmp_path: Path):
    condition = make_condition([script(tmp_path / "hue.pt", Means())], EXAMPLE)
    assert condition.names == ("hue0", "hue1", "hue2")
    images = torch.rand(4, 3, 16, 16, requires_grad=True)
    torch.testing.assert_close(condition(images), images.mean((2, 3)))
    assert condition(images).requires_grad


def test_a_row_of_single_numbers_is_one_attribute(tmp_path: Path):
    condition = make_condition([script(tmp_path / "bright.ts", Brightness())], EXAMPLE)
    assert condition.names == ("bright",)
    assert list(condition(torch.rand(4, 3, 16, 16)).shape) == [4, 1]


@pytest.mark.parametrize("network, words", [
    (Pair(), "gives tuple for 1 picture,"),
    (Nothing(), "gives 0 numbers for a picture"),
    (OfSize64(), r"cannot take pictures \[1, 3, 16, 16\]"),
])  # fmt: skip
def test_scripts_that_do_not_fit_are_refused(tmp_path: Path, network: nn.Module, words: str):
    with pytest.raises(UserError, match=words) as caught:
        make_condition([script(tmp_path / "a.pt", network)], EXAMPLE)
    assert "\n" not in str(caught.value)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


def test_pickles_are_not_loaded(tmp_path: Path):
    torch.save({"weights": Bomb()}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="no TorchScript archive, but perhaps pickled weights"):
        make_condition([str(tmp_path / "a.pt")], EXAMPLE)
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="no TorchScript archive"):
        make_condition([str(tmp_path / "b.pt")], EXAMPLE)


def test_a_script_cut_short_is_refused(tmp_path: Path):
    path = Path(script(tmp_path / "a.pt", Means()))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="no TorchScript archive"):
        make_condition([str(path)], EXAMPLE)


@pytest.mark.parametrize("name, words", [("gone.pt", "no such file"), ("gone.onnx", "no such file")])
def test_files_that_are_not_there_are_refused(tmp_path: Path, name: str, words: str):
    with pytest.raises(UserError, match=words):
        make_condition([str(tmp_path / name)], EXAMPLE)


def graph(path: Path, batch: str | int = "N", inputs: int = 1) -> str:
    """A graph that takes the mean of each channel."""
    import onnx
    from onnx import TensorProto, helper

    shape = [batch, 3, 16, 16]
    given = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i in range(inputs)]
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    nodes = [helper.make_node("ReduceMean", ["x0", "axes"], ["y"], keepdims=0)]
    model = helper.make_model(helper.make_graph(nodes, "means", given, made, [axes]),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=9)  # fmt: skip
    onnx.save(model, str(path))
    return str(path)


@onnx_needed
@pytest.mark.parametrize("batch", ["N", 1])
def test_a_graph_is_run(tmp_path: Path, batch: str | int):
    condition = make_condition([graph(tmp_path / "means.onnx", batch)], EXAMPLE)
    images = torch.rand(3, 3, 16, 16)
    assert condition.names == ("means0", "means1", "means2")
    np.testing.assert_allclose(condition(images).numpy(), images.mean((2, 3)).numpy(), rtol=1e-5)


@onnx_needed
def test_graphs_that_do_not_fit_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="takes 2 inputs"):
        make_condition([graph(tmp_path / "a.onnx", inputs=2)], EXAMPLE)
    with pytest.raises(UserError, match=r"cannot take pictures \[1, 3, 8, 8\]"):
        make_condition([graph(tmp_path / "b.onnx")], EXAMPLE[:, :, :8, :8])
    (tmp_path / "c.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="no readable ONNX file"):
        make_condition([str(tmp_path / "c.onnx")], EXAMPLE)


@onnx_needed
def test_a_graph_whose_first_output_are_names_is_refused(tmp_path: Path):
    import onnx
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])
    made = helper.make_tensor_value_info("y", TensorProto.STRING, [1])
    names = helper.make_tensor("names", TensorProto.STRING, [1], [b"cat"])
    node = helper.make_node("Constant", [], ["y"], value=names)
    model = helper.make_model(helper.make_graph([node], "names", [given], [made]),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=9)  # fmt: skip
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(UserError, match="gives an array of object for 1 picture, not a row of numbers for each"):
        make_condition([str(tmp_path / "a.onnx")], EXAMPLE)


class ToyClip(nn.Module):
    """Pictures become the means of their channels, texts what their first token says."""

    def __init__(self):
        super().__init__()
        self.input_resolution, self.context_length = 8, 5

    def forward(self, images: Tensor) -> Tensor:
        return images

    @torch.jit.export
    def encode_image(self, images: Tensor) -> Tensor:
        return images.mean(dim=[2, 3])

    @torch.jit.export
    def encode_text(self, tokens: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(tokens[:, 0], 3).float()


class PublishedClip(nn.Module):
    """As archives of CLIP's authors are: sizes are tensors, weights are halves, and a text is read at its last token,
    which has the largest number."""

    def __init__(self):
        super().__init__()
        self.register_buffer("input_resolution", torch.tensor(8))
        self.register_buffer("context_length", torch.tensor(5))
        self.words = nn.Parameter(torch.eye(3, dtype=torch.half))

    def forward(self, images: Tensor) -> Tensor:
        return images

    @torch.jit.export
    def encode_image(self, images: Tensor) -> Tensor:
        return images.to(self.words.dtype).mean(dim=[2, 3])

    @torch.jit.export
    def encode_text(self, tokens: Tensor) -> Tensor:
        return self.words[tokens.amax(dim=1)]


class BlindClip(ToyClip):
    """Its pictures become more numbers than its texts."""

    @torch.jit.export
    def encode_image(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class FarClip(ToyClip):
    """Its code names a device that is not here, as archives traced on a GPU may."""

    @torch.jit.export
    def encode_image(self, images: Tensor) -> Tensor:
        return images.mean(dim=[2, 3]) + torch.zeros(3, device="cuda:99")


def tokenizer(path: Path) -> str:
    vocabulary = {"red": 0, "green": 1, "blue": 2}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "red"}
    parts = ("truncation", "padding", "normalizer", "post_processor", "decoder")
    whole = {"version": "1.0", **dict.fromkeys(parts), "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}}
    path.write_text(json.dumps(whole | {"model": model}))
    return str(path)


@tokenizers_needed
def test_clip_says_how_like_its_picture_is_to_texts(tmp_path: Path):
    files = f"{script(tmp_path / 'clip.pt', ToyClip())}:{tokenizer(tmp_path / 'words.json')}"
    condition = make_condition([f"clip:{files}:blue face; red face"], EXAMPLE)
    assert condition.names == ("blue face", "red face")
    blue = torch.tensor([-1.0, -1.0, 1.0])[None, :, None, None].expand(1, 3, 16, 16)
    (likeness,) = condition(torch.cat([blue])).tolist()
    assert likeness[0] > 0.5 > 0 > likeness[1]


@tokenizers_needed
def test_clip_with_half_weights_and_sizes_as_tensors(tmp_path: Path):
    files = f"{script(tmp_path / 'clip.pt', PublishedClip())}:{tokenizer(tmp_path / 'words.json')}"
    condition = make_condition([f"clip:{files}:red face; green; blue face"], EXAMPLE)
    assert condition.side == 8
    colors = torch.eye(3) * 2 - 1
    images = colors[:, :, None, None].expand(3, 3, 16, 16).clone().requires_grad_()
    found = condition(images)
    assert found.dtype == torch.float32
    assert found.argmax(1).tolist() == [0, 1, 2]
    pixels = (colors / 2 + 0.5 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    torch.testing.assert_close(found, torch.nn.functional.normalize(pixels, dim=1), atol=2e-3, rtol=0)
    (gradient,) = torch.autograd.grad(found[0, 0], images)
    assert gradient[0].abs().sum() > 0


@tokenizers_needed
@pytest.mark.parametrize("network", [BlindClip(), FarClip()])
def test_a_clip_that_cannot_take_pictures_is_refused_at_once(tmp_path: Path, network: nn.Module):
    files = f"{script(tmp_path / 'clip.pt', network)}:{tokenizer(tmp_path / 'words.json')}"
    with pytest.raises(UserError, match="no CLIP model") as caught:
        make_condition([f"clip:{files}:red"], EXAMPLE)
    assert "\n" not in str(caught.value)


@tokenizers_needed
@pytest.mark.parametrize("words, complaint", [
    ("{clip}:{words}", "is not of the form"),
    ("{clip}:{words}:;", "is not of the form"),
    ("gone.pt:{words}:red", "no such file"),
    ("{clip}:gone.json:red", "no such file"),
    ("{clip}:{clip}:red", "no tokenizer of the package tokenizers"),
    ("{other}:{words}:red", "no CLIP model"),
    ("{clip}:{words}:red red red red red red", "has 6 tokens; 5 are the most"),
])  # fmt: skip
def test_clip_files_that_do_not_fit_are_refused(tmp_path: Path, words: str, complaint: str):
    clip, other = script(tmp_path / "clip.pt", ToyClip()), script(tmp_path / "other.pt", Means())
    text = words.format(clip=clip, other=other, words=tokenizer(tmp_path / "words.json"))
    with pytest.raises(UserError, match=complaint):
        make_condition([f"clip:{text}"], EXAMPLE)
