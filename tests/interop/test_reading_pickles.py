"""Networks written as the reference's pickles come back with every tensor and every setting."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dnnlib.errors import UserError
from interop.pickles.reference_networks import ReferenceNetworks, kimg_of, read_reference
from interop.reference_state import reference_state
from tests.interop.hostile import dictionary, module, storage
from tests.interop.reference_files import loaded_by_torch, write_pickle
from tests.training.small import CHANNELS, make_layout, seeded
from training.config import DiscriminatorConfig, GeneratorConfig
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator
from training.runs.validation import below

RELEASED = {"mode": "fine", "max_resolution": None, "hidden_channels": 8}
SIZES = {"img_resolution": 16, "img_channels": 3}
VARIANTS = {
    "plain": {},
    "labels": {"c_dim": 3, "mapping": {"num_layers": 2, "embed_features": 5, "layer_features": 6}},
    "half precision with a clamp": {"conv": {"num_fp16_res": 2, "conv_clamp": 256}},
    "residual": {"conv": {"architecture": "resnet"}},
    "one output": {"conv": {"architecture": "orig"}},
    "grey, without noise": {"img_channels": 1, "use_noise": False},
    "another activation": {"conv": {"activation": "swish"}},
    "another filter": {"conv": {"resample_filter": (1, 2, 1)}},
    "no mean style": {"mapping": {"num_layers": 3, "w_avg_beta": None}},
    "narrow": {"conv": {"channel_base": 100, "channel_max": 512}},
    "EqGAN-SA": {"encoding": RELEASED},
    "EqGAN-SA at the lowest resolutions": {"encoding": {**RELEASED, "max_resolution": 8}},
}


def configs(c_dim=0, img_channels=3, mapping=None, conv=None, use_noise=True, encoding=None):
    shape = {**SIZES, "img_channels": img_channels, "c_dim": c_dim}
    conv = {**CHANNELS, **(conv or {})}
    generator = GeneratorConfig(**shape, z_dim=8, w_dim=6, mapping=mapping or {"num_layers": 2},
                                synthesis={**conv, "use_noise": use_noise}, encoding=encoding)  # fmt: skip
    labels = {**(mapping or {}), "w_avg_beta": None} if c_dim else {"w_avg_beta": None}
    return generator, DiscriminatorConfig(**shape, **conv, mapping=labels, mbstd_group_size=2)


@pytest.fixture(params=VARIANTS)
def networks(request: pytest.FixtureRequest):
    """{name: network} with random weights."""
    generator, discriminator = configs(**VARIANTS[request.param])
    return {
        "G": seeded(lambda: Generator(generator), 1),
        "D": seeded(lambda: Discriminator(discriminator), 2),
        "G_ema": seeded(lambda: Generator(generator), 3),
    }


def test_everything_comes_back(networks, tmp_path: Path):
    path = tmp_path / "network-snapshot-000123.pkl"
    path.write_bytes(write_pickle(**networks))
    found = read_reference(path)
    expected = {f"{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()}
    assert found.tensors.keys() == expected.keys()
    assert all(torch.equal(value, found.tensors[name]) for name, value in expected.items())
    assert found.kimg == 123
    assert_same_results(networks["G_ema"], networks["D"], found)


def assert_same_results(G: Generator, D: Discriminator, found: ReferenceNetworks) -> None:
    """Images and logits of the original networks and of those that were read."""
    c_dim = found.config.generator.c_dim
    c = torch.eye(c_dim)[:2] if c_dim else None
    layout = make_layout(2) if found.config.generator.encoding else None
    read_G = filled(Generator(found.config.generator), found, "G_ema")
    images = [net(torch.ones(2, 8), c, layout) for net in (G, read_G)]
    assert torch.equal(*images)
    read_D = filled(Discriminator(found.config.discriminator), found, "D")
    assert torch.equal(*(net(images[0], c).logits for net in (D, read_D)))


def filled(network: nn.Module, found: ReferenceNetworks, name: str) -> nn.Module:
    network.load_state_dict(below(found.tensors, name))
    return network


def test_the_method_follows_from_the_networks(tmp_path: Path):
    for variant, method, sampler in (("plain", "stylegan2", "paper"), ("EqGAN-SA", "eqgan-sa", "released")):
        generator, discriminator = configs(**VARIANTS[variant])
        G, D = Generator(generator), Discriminator(discriminator)
        (tmp_path / "a.pkl").write_bytes(write_pickle(G, D, G))
        config = read_reference(tmp_path / "a.pkl").config
        assert (config.method, config.sampler.kind) == (method, sampler)
        assert (config.data.path, config.data.mirror) == ("/data/them.zip", True)


@pytest.mark.parametrize("change, message", [
    (lambda state: state.pop("synthesis.b8.conv0.weight"), "synthesis.blocks.8.conv0.weight is missing"),
    (lambda state: state.update({"synthesis.b8.conv0.more": torch.zeros(3)}), "blocks.8.conv0.more is not part"),
    (lambda state: state.update({"mapping.fc1.bias": torch.zeros(7)}), r"mapping.layers.1.bias is float32 \[7\], not"),
    (lambda state: state.update({"mapping.fc1.bias": torch.full([6], torch.nan)}), "not finite"),
    (lambda state: state.update({"synthesis.b8.resample_filter": torch.ones(4, 4)}), "filters"),
    (lambda state: state.pop("mapping.fc0.weight"), "the tensor mapping.fc0.weight is missing"),
])  # fmt: skip
def test_a_tensor_too_many_too_few_or_different(change, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.interop import reference_files

    generator, discriminator = configs()
    G, D = Generator(generator), Discriminator(discriminator)

    def changed(network):
        state = reference_state(network)
        if isinstance(network, Generator):
            change(state)
        return state

    monkeypatch.setattr(reference_files, "reference_state", changed)
    monkeypatch.setattr(reference_files, "_own_names", lambda network: list(changed(network)))
    (tmp_path / "a.pkl").write_bytes(write_pickle(G, D, G))
    with pytest.raises(UserError, match=message):
        read_reference(tmp_path / "a.pkl")


@pytest.mark.parametrize("name, kimg", [("network-snapshot-025000.pkl", 25000), ("ffhq.pkl", 0)])
def test_thousands_of_images_are_read_off_the_name(name: str, kimg: float):
    assert kimg_of(Path(name)) == kimg


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_storages_are_written_as_torch_writes_them():
    assert loaded_by_torch(storage(3)).tolist() == [0, 0, 0]


def test_no_augmentation_is_read_where_there_is_none(tmp_path: Path):
    generator, discriminator = configs()
    G, D = Generator(generator), Discriminator(discriminator)
    (tmp_path / "a.pkl").write_bytes(write_pickle(G, D, G))
    assert read_reference(tmp_path / "a.pkl").config.augment.mode == "noaug"
    (tmp_path / "b.pkl").write_bytes(write_pickle(G, D, G, module("AugmentPipe", _buffers=dictionary())))
    with pytest.raises(UserError, match="the augmentation has no strength p"):
        read_reference(tmp_path / "b.pkl")
