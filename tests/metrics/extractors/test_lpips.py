"""LPIPS against torch-fidelity's, with weights made up here."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from dnnlib.errors import UserError
from metrics.extractors import Extractors, WeightFiles
from metrics.extractors.fidelity import load_library

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of VGG16's convolutions and of LPIPS, by torchvision's and torch-fidelity's names."""
    folder, draw = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(3)
    layers = load_library("torchvision").models.vgg.make_layers(load_library("torchvision").models.vgg.cfgs["D"])
    shapes = {f"features.{name}": value.shape for name, value in layers.state_dict().items()}
    scale = {4: lambda s: (2 / s[1:].numel()) ** 0.5, 1: lambda s: 0.1}
    vgg = {name: torch.randn(shape, generator=draw) * scale[len(shape)](shape) for name, shape in shapes.items()}
    sizes = (64, 128, 256, 512, 512)
    lpips = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=draw) for i, c in enumerate(sizes)}
    for name, state in (("vgg16", vgg), ("lpips", lpips)):
        save_file(state, folder / f"{name}.safetensors")
    return {"vgg16": vgg, "lpips": lpips, "paths": {n: folder / f"{n}.safetensors" for n in ("vgg16", "lpips")}}


@pytest.fixture(scope="module")
def distance(files):
    return Extractors(WeightFiles(files["paths"])).perceptual_distance(CPU)


@pytest.fixture
def reference(files, monkeypatch):
    """torch-fidelity's class, given these weights where it would download its own."""
    module = load_library("torch_fidelity.sample_similarity_lpips")
    vgg = load_library("torchvision").models.vgg
    network = torch.nn.Module()
    network.features = vgg.make_layers(vgg.cfgs["D"])
    network.load_state_dict(files["vgg16"])
    monkeypatch.setattr(module, "torchvision_load_pretrained_vgg16", lambda: network)
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *_, **__: files["lpips"])
    return module.SampleSimilarityLPIPS("lpips-vgg16")


def pictures(seed: int) -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 255


def test_the_distances_are_torch_fidelitys(distance, reference):
    a, b = pictures(1), pictures(2)
    expected = reference(a, b).flatten()
    assert torch.allclose(distance(a, b), expected, rtol=1e-5, atol=0)
    assert (expected > 0).all()


def test_a_picture_is_at_distance_zero_from_itself(distance):
    assert distance(pictures(1), pictures(1)).tolist() == [0, 0, 0]


def test_grey_pictures(distance):
    a, b = pictures(1)[:, :1], pictures(2)[:, :1]
    assert torch.equal(distance(a, b), distance(a.repeat(1, 3, 1, 1), b.repeat(1, 3, 1, 1)))


def test_gradients_are_finite_where_no_feature_is_active(distance):
    """A uniform picture can leave every channel of a pixel at 0; a search by gradients must not become NaN there."""
    network = copy.deepcopy(distance.network)
    network.layers[2].bias.fill_(-1e4)  # the end of the first group
    a = pictures(1).requires_grad_()
    distances = network(a, pictures(2))
    distances.sum().backward()
    assert distances.isfinite().all()
    assert a.grad.isfinite().all()


def test_the_record_names_both_files(distance):
    assert distance.about["name"] == "lpips"
    assert {len(digest) for digest in distance.about["weights_sha256"].values()} == {64}


def test_other_weights_are_refused(files):
    swapped = {"vgg16": files["paths"]["lpips"], "lpips": files["paths"]["lpips"]}
    with pytest.raises(UserError, match="weights given for 'vgg16' are of another network"):
        Extractors(WeightFiles(swapped)).perceptual_distance(CPU)
    swapped = {"vgg16": files["paths"]["vgg16"], "lpips": files["paths"]["vgg16"]}
    with pytest.raises(UserError, match="weights given for 'lpips' are of another network"):
        Extractors(WeightFiles(swapped)).perceptual_distance(CPU)
