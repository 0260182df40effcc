"""When synthesis is captured as a CUDA graph, and on a GPU that its pictures are the same."""

import pytest
import torch

from tests.tiny_models import tiny_config, tiny_generator, tiny_model
from tests.training.rendered import RenderedLayout
from training.networks import cuda_graphs
from training.networks.cuda_graphs import KEPT, CapturedSynthesis
from training.networks.synthesis import Noise
from training.sampling import Model

CONST = Noise("const")


class Graph:
    """A capture that never happened: notes what it was asked for."""

    made: list[int] = []

    def __init__(self, synthesis, ws, layout, noise):
        self.made.append(len(ws))

    def replay(self, ws, layout):
        return f"replayed {len(ws)}"


@pytest.fixture
def synthesis(monkeypatch):
    """A CapturedSynthesis that tells eager calls from replays, and takes CPU tensors for those of a GPU."""
    monkeypatch.setattr(cuda_graphs, "_Graph", Graph)
    monkeypatch.setattr(cuda_graphs, "_key", lambda ws, layout, noise: None if noise.mode == "random" else (len(ws),))
    Graph.made = []
    return CapturedSynthesis(lambda ws, layout, noise: f"eager {len(ws)}")


def test_a_shape_is_captured_when_it_comes_again(synthesis):
    ws = torch.zeros(2, 3, 4)
    assert [synthesis(ws, None, CONST) for _ in range(3)] == ["eager 2", "replayed 2", "replayed 2"]
    assert Graph.made == [2]


def test_random_noise_is_never_captured(synthesis):
    ws = torch.zeros(2, 3, 4)
    assert {synthesis(ws, None, Noise("random")) for _ in range(3)} == {"eager 2"}


def test_only_the_latest_shapes_keep_their_graphs(synthesis):
    for count in range(1, KEPT + 2):
        for _ in range(2):
            synthesis(torch.zeros(count, 3, 4), None, CONST)
    assert synthesis(torch.zeros(KEPT + 1, 3, 4), None, CONST) == f"replayed {KEPT + 1}"
    assert synthesis(torch.zeros(1, 3, 4), None, CONST) == "eager 1"


def test_where_capturing_fails_one_warning_says_so(synthesis, monkeypatch):
    def fails(*_):
        raise RuntimeError("operation not permitted")

    monkeypatch.setattr(cuda_graphs, "_Graph", fails)
    ws = torch.zeros(2, 3, 4)
    synthesis(ws, None, CONST)
    with pytest.warns(UserWarning, match="no CUDA graph: operation not permitted") as warned:
        assert [synthesis(ws, None, CONST) for _ in range(3)] == ["eager 2"] * 3
    assert len(warned) == 1


def test_on_a_cpu_there_is_nothing_to_capture():
    model = tiny_model()
    assert cuda_graphs._key(model.styles([1]), model.layout([1]), CONST) is None
    assert not isinstance(model._synthesize, CapturedSynthesis)


def test_copies_of_a_layout_have_memory_of_their_own():
    layout = tiny_model().layout([1, 2])
    layout = layout.with_strength(0, 0, 0.5)[[0]].repeat(3)
    copied = cuda_graphs._copied(layout)
    pairs = list(zip(copied.tensors(), layout.tensors(), strict=True))
    assert len(pairs) == 9
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() and a.is_contiguous() for a, b in pairs)


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["stylegan2", "spatialgan", "spatialgan-indoor"])
@pytest.mark.parametrize("noise_mode", ["const", "none", "random"])
def test_replayed_pictures_are_those_of_separate_kernels(method, noise_mode):
    config = tiny_config(method)
    model = Model(tiny_generator(config), config, "cuda")
    eager = Model(tiny_generator(config), config, "cuda")
    eager._synthesize = eager.G.synthesis
    for seeds in ([1, 2], [3, 4], [5, 6], [7, 7]):
        pictures = model.images(seeds, noise_mode=noise_mode)
        torch.testing.assert_close(pictures, eager.images(seeds, noise_mode=noise_mode))
    graphs = list(model._synthesize._graphs.values())
    assert any(graph is not None for graph in graphs) == (noise_mode != "random")


@pytest.mark.gpu
def test_pictures_of_heatmaps_are_not_captured():
    config = tiny_config("spatialgan")
    model = Model(tiny_generator(config), config, "cuda")
    layout = model.layout([1])
    rendered = RenderedLayout(tuple(layout.heatmaps(level, 16) for level in range(3)))
    assert cuda_graphs._key(model.styles([1]), layout, CONST) is not None
    assert cuda_graphs._key(model.styles([1]), rendered, CONST) is None
