"""torch-fidelity's extractors: how they are imported, and what they are made with."""

import subprocess
import sys
import textwrap

import pytest
import torch
from safetensors.torch import save_file

from dnnlib.errors import UserError
from metrics.extractors import Extractors, WeightFiles
from metrics.extractors.fidelity import inception, load_library
from tests.metrics.det_weights import make_state
from tests.training.small import global_streams

pytestmark = pytest.mark.numeric


def run(program: str) -> str:
    """Output of a fresh Python; the test fails with it."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_torchvision_without_its_compiled_operators():
    """Here they do not load whatever this machine's build: the library is not found."""
    printed = run("""
        import torch
        def refuse(path): raise OSError("no such library")
        torch.ops.load_library = refuse
        from metrics.extractors.fidelity import load_library
        import_of = load_library("torch_fidelity")
        import torchvision
        print(torchvision.extension._has_ops(), import_of.FeatureExtractorInceptionV3.__name__)
    """)
    assert printed.split() == ["False", "FeatureExtractorInceptionV3"]


def test_without_torch_fidelity_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UserError, match=r"pip install 'steergan\[metrics\]'") as refusal:
        load_library("torch_fidelity")
    assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def extractor(inception_weights):
    return inception(WeightFiles({"inception": inception_weights}))


def test_outputs_and_record(extractor, inception_weights):
    streams = global_streams()
    features = extractor(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
    assert {name: list(value.shape) for name, value in features.items()} == {
        "2048": [2, 2048],
        "logits_unbiased": [2, 1008],
    }
    assert extractor.about["name"] == "inception"
    assert len(extractor.about["weights_sha256"]) == 64
    assert "299x299" in extractor.about["preprocessing"]
    assert global_streams() == streams


def test_grey_pictures_are_looked_at_as_rgb(extractor):
    grey = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(extractor(grey)["2048"], extractor(grey.repeat(1, 3, 1, 1))["2048"])


def test_floats_are_no_pictures(extractor):
    with pytest.raises(ValueError, match="wanted uint8"):
        extractor(torch.zeros(1, 3, 16, 16))


def test_weights_of_another_network_are_refused(tmp_path):
    save_file(make_state([("fc.weight", [3, 4])]), tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="weights given for 'inception-v3-compat' are of another network"):
        Extractors(WeightFiles({"inception": tmp_path / "other.safetensors"})).get("inception", torch.device("cpu"))


@pytest.mark.slow
def test_vgg16_features_are_those_of_the_network_behind_its_second_layer(tmp_path):
    torchvision = load_library("torchvision")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = torchvision.models.vgg16().eval()
    torch.save(network.state_dict(), tmp_path / "vgg16.pth")
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    features = Extractors(WeightFiles({"vgg16": tmp_path / "vgg16.pth"})).get("vgg16", torch.device("cpu"))(images)
    mean, deviation = (torch.tensor(c)[:, None, None] for c in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        x = network.features((images / 255 - mean) / deviation).flatten(1)
        expected = network.classifier[:5](x)
    assert torch.allclose(features["fc2_relu"], expected, rtol=1e-4, atol=1e-5)
