"""Network pickles of the reference programs: read without running them, they give the same images and logits.

A folder named by GOLDEN_DIR may have other pickles of the same names, and one of EqGAN-SA; it may be compressed by xz.
"""

import json
import lzma
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from interop.pickles.reference_networks import ReferenceNetworks, read_reference
from tests.golden.cases import FOLDER, Case, every_case
from tests.golden.networks import make_generator
from tests.interop.reference_files import write_pickle
from tests.training.rendered import RenderedLayout
from training.config import DiscriminatorConfig, EncodingConfig
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator
from training.networks.reference_names import translate
from training.runs.validation import below

pytestmark = pytest.mark.numeric

TOLERANCE = 1e-4
LEVELS = ("b8", "b16", "b32")
REQUIRED, OPTIONAL = "tiny_reference_nosrc", "tiny_eqgan_nosrc"
HAS_OPTIONAL = any((FOLDER / f"{OPTIONAL}{suffix}").is_file() for suffix in (".pkl", ".pkl.xz", ".npz"))
STEMS = [
    REQUIRED,
    pytest.param(OPTIONAL, marks=pytest.mark.skipif(not HAS_OPTIONAL, reason=f"no {OPTIONAL} in {FOLDER.name}/")),
]


class Golden:
    """A pickle that was read, and what the reference made of it."""

    def __init__(self, stem: str, folder: Path):
        self.networks = read_reference(self._pickle(stem, folder))
        self.arrays = np.load(FOLDER / f"{stem}.npz", allow_pickle=False)
        self.meta = json.loads(str(self.arrays["meta"]))

    @staticmethod
    def _pickle(stem: str, folder: Path) -> Path:
        path = FOLDER / f"{stem}.pkl"
        if path.is_file():
            return path
        packed, path = FOLDER / f"{stem}.pkl.xz", folder / f"{stem}.pkl"
        assert packed.is_file(), f"golden file {stem}.pkl is missing"
        path.write_bytes(lzma.decompress(packed.read_bytes()))
        return path

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name].copy())

    def get(self, name: str) -> Tensor | None:
        return self[name] if name in self.arrays.files and self.arrays[name].size else None

    def heatmaps(self) -> RenderedLayout | None:
        """Those that the reference drew its images with, where the networks take any."""
        if self.networks.config.generator.encoding is None:
            return None
        keys = (next(key for key in self.arrays.files if re.fullmatch(rf".*heatmap.*{level}", key)) for level in LEVELS)
        return RenderedLayout(tuple(self[key] for key in keys))

    def generator(self, name: str) -> Generator:
        net = Generator(self.networks.config.generator)
        net.load_state_dict(below(self.networks.tensors, name))
        return net

    def image(self, name: str, count: int, **how) -> Tensor:
        layout, c = self.heatmaps(), self.get("c")
        layout = None if layout is None else RenderedLayout(tuple(level[:count] for level in layout.levels))
        with torch.inference_mode():
            return self.generator(name)(self["z"][:count], None if c is None else c[:count], layout, **how)


@pytest.fixture(scope="module", params=STEMS)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return Golden(request.param, tmp_path_factory.mktemp("pickles"))


def test_a_compressed_pickle_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "golden").mkdir()
    data = (FOLDER / f"{REQUIRED}.pkl").read_bytes()
    (tmp_path / "golden" / "some.pkl.xz").write_bytes(lzma.compress(data))
    monkeypatch.setattr("tests.golden.test_reference_pickles.FOLDER", tmp_path / "golden")
    assert Golden._pickle("some", tmp_path).read_bytes() == data
    with pytest.raises(AssertionError, match=r"other\.pkl is missing"):
        Golden._pickle("other", tmp_path)


def test_images_are_those_of_the_reference(golden: Golden):
    expected = golden["img_ema"]
    assert close(golden.image("G_ema", len(expected)), expected)
    assert close(golden.image("G", len(golden["img_G"])), golden["img_G"])


def test_truncated_images_are_those_of_the_reference(golden: Golden):
    for name in [name for name in golden.arrays.files if name.startswith("img_ema_trunc")]:
        psi = golden.meta.get("truncation_psi", int(name[-2:]) / 10)
        assert close(golden.image("G_ema", len(golden[name]), truncation_psi=psi), golden[name])


def test_logits_are_those_of_the_reference(golden: Golden):
    net = Discriminator(golden.networks.config.discriminator)
    net.load_state_dict(below(golden.networks.tensors, "D"))
    with torch.inference_mode():
        assert close(net(golden["img_ema"], golden.get("c")).logits, golden["D_logits"])


def test_every_tensor_of_the_file_is_there(golden: Golden):
    """With its sum, sum of absolute values and first element; filters are no tensors of ours."""
    found = golden.networks.tensors
    expected = {name: facts for name, facts in golden.meta["tensors"].items() if not name.startswith("augment_pipe/")}
    names = {name: ours_of(name) for name in expected if translate(name.split("/")[1]) is not None}
    assert sorted(names.values()) == sorted(found)
    for name, ours in names.items():
        tensor, facts = found[ours].double(), expected[name]
        assert list(tensor.shape) == facts["shape"]
        assert tensor.sum().item() == pytest.approx(facts["sum"], rel=1e-5, abs=1e-4)
        assert tensor.abs().sum().item() == pytest.approx(facts["abssum"], rel=1e-5)
        assert tensor.flatten()[0].item() == pytest.approx(facts["first"], rel=1e-6)


def test_the_strength_of_augmentation_is_kept(golden: Golden):
    if golden.get("augment_p") is not None:
        assert golden.networks.config.augment.p == pytest.approx(golden["augment_p"].item(), rel=1e-6)


@every_case("eqgan_sel.npz", lambda params: params["kind"])
def test_a_pickle_of_the_steerable_generator_gives_its_images(case: Case, tmp_path: Path):
    """Written here, laid out as that program's, with the golden weights of its generator."""
    if case.params["kind"] != "generator":
        return
    G = make_generator(case.params, case.group("sd"), encoding=EncodingConfig(mode="fine", max_resolution=None))
    sizes = {key: case.params[key] for key in ("c_dim", "img_resolution", "img_channels")}
    D = Discriminator(DiscriminatorConfig(**sizes, channel_base=256, channel_max=8, mapping={"w_avg_beta": None}))
    (tmp_path / "network.pkl").write_bytes(write_pickle(G, D, G))
    found = read_reference(tmp_path / "network.pkl")
    net = Generator(found.config.generator)
    net.load_state_dict(below(found.tensors, "G_ema"))
    layout = RenderedLayout(tuple(case[f"heatmap/{level}"] for level in LEVELS))
    assert close(net(case["z"], case.get("c"), layout), case["img_const"])


def close(actual: Tensor, expected: Tensor) -> bool:
    assert actual.shape == expected.shape
    return (actual - expected).abs().max().item() <= TOLERANCE


def ours_of(name: str) -> str:
    network, key = name.split("/")
    return f"{network}.{translate(key)}"


def test_the_networks_are_of_the_reference(golden: Golden):
    assert isinstance(golden.networks, ReferenceNetworks)
    assert golden.networks.config.method in ("stylegan2", "eqgan-sa")
