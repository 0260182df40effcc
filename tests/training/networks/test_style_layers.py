"""Which styles are coarse, middle and fine."""

from types import SimpleNamespace
from typing import Any

import pytest

from dnnlib.errors import UserError
from tests.training.networks.lineage import generator, lineage_config
from training.networks.style_layers import style_kinds, style_resolution
from training.networks.stylegan import StyleSynthesis


def stylegan2(resolution: int) -> Any:
    """All that is asked of one."""
    config = SimpleNamespace(backbone="stylegan2", img_resolution=resolution)
    return SimpleNamespace(config=config, num_ws=2 * resolution.bit_length() - 4, synthesis=None)


def stylegan(resolution: int) -> Any:
    G = stylegan2(resolution)
    G.synthesis = StyleSynthesis.__new__(StyleSynthesis)
    return G


@pytest.mark.parametrize("resolution, ends", [
    (16, (1, 3, 6)), (32, (3, 5, 8)), (64, (3, 7, 10)), (256, (3, 7, 14)), (1024, (3, 7, 18)),
])  # fmt: skip
def test_those_of_stylegan2_go_by_their_convolutions(resolution, ends):
    """One at 4x4, two at each other resolution, and the last to_rgb."""
    assert list(style_kinds(stylegan2(resolution)).values()) == [
        range(ends[0]), range(ends[0], ends[1]), range(ends[1], ends[2]),
    ]  # fmt: skip


def test_those_of_stylegans_first_version_are_the_papers():
    """Two at each resolution: 0 to 3, 4 to 7 and 8 to 17 at 1024x1024."""
    assert style_kinds(stylegan(1024)) == {"coarse": range(4), "middle": range(4, 8), "fine": range(8, 18)}


def test_every_style_has_a_resolution_of_the_network():
    known = {"stylegan2": [4, 8, 8, 16, 16, 32, 32, 32], "stylegan": [4, 4, 8, 8, 16, 16, 32, 32]}
    for backbone, expected in known.items():
        G = generator(lineage_config(backbone, None))
        assert [style_resolution(G, number) for number in range(G.num_ws)] == expected


def test_networks_without_styles_and_small_ones_are_refused():
    with pytest.raises(UserError, match="sndcgan has one latent for all layers"):
        style_kinds(generator(lineage_config("sndcgan", None)))
    with pytest.raises(UserError, match="8x8 are too small"):
        style_kinds(stylegan2(8))
