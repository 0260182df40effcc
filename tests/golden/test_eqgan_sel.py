"""Spatial encoding, heatmaps, the steerable generator and the alignment loss against golden vectors.

The reference calls levels 0, 1, 2 "b8", "b16", "b32" and writes coordinates as (y, x).
"""

from collections.abc import Callable

import pytest
import torch

from tests.golden.cases import Case, assert_close, assert_close_gradients, assert_close_to_case, every_case, load
from tests.golden.networks import make_discriminator, make_generator
from tests.training.rendered import RenderedLayout
from training.config import AlignConfig, EncodingConfig
from training.layouts.layout import LEVEL_RESOLUTIONS, Layout
from training.losses.attention import alignment_loss, attention_maps, channel_weights, target_map, truncated_distance
from training.networks.discriminator import DiscriminatorOutput
from training.networks.spatial_encoding import SpatialEncoding
from training.networks.synthesis import Noise

pytestmark = pytest.mark.numeric

REL, LOSS_REL = 1e-5, 3e-5
LEVELS = ("b8", "b16", "b32")
RELEASED = EncodingConfig(mode="fine", max_resolution=None)
RELEASED_ALIGNMENT = AlignConfig(gradient="loss", relu="channel", resolution="image")


def name(params: dict) -> str:
    return params["kind"]


@every_case("eqgan_sel.npz", name)
def test_case(case: Case):
    check = CHECKS[case.params["kind"]]
    check(case)


# ---- spatial encoding layer


def spatial_encoding(case: Case) -> SpatialEncoding:
    config = EncodingConfig(hidden_channels=case.params["nhidden"])
    return load(SpatialEncoding(case.params["norm_dim"], case.params["map_dim"], config), case.group("sd"))


def check_spatial_encoding(case: Case) -> None:
    net, x = spatial_encoding(case), case["x"].requires_grad_()
    y = net(x, case["heatmap"])
    assert_close_to_case(case, "y", y, REL)
    y.backward(case["g"])
    assert_close(x.grad, case["dx"], REL, "dx")
    assert_close_gradients(net, case, REL)
    exact = spatial_encoding(case).double()(case["x"].double(), case["heatmap"].double())
    assert_close(exact, case["y64"], 1e-12, "y64")


# ---- heatmaps


def layout(case: Case) -> Layout:
    """The case's centres and spreads; (y, x) turned into (x, y), deltas [N, 2, n] into centres [N, n, 2]."""
    centers = case["centers"][:, :, None]
    all_levels = (centers, centers + case["l2_delta"], centers + case["l3_delta"])
    first = torch.full((len(centers), 1), case.params["sigma"])
    rest = (case[f"cur_sigma{k}"].flatten(1) for k in (2, 3))
    return Layout(tuple(level.transpose(1, 2).flip(2) for level in all_levels), (first, *rest))


def check_heatmap(case: Case) -> None:
    for level, key in enumerate(LEVELS):
        assert_close_to_case(case, key, layout(case).heatmaps(level, case.params["resolution"]), REL)


# ---- generator with spatial encoding


def rendered(case: Case) -> RenderedLayout:
    return RenderedLayout(tuple(case[f"heatmap/{key}"] for key in LEVELS))


def check_generator(case: Case) -> None:
    net = make_generator(case.params, case.group("sd"), encoding=RELEASED)
    assert net.num_ws == case.params["num_ws"]
    for mode in ("const", "none"):
        image = net(case["z"], case.get("c"), rendered(case), noise=Noise(mode))
        assert_close_to_case(case, f"img_{mode}", image, REL)
    above = (64, case.params["img_resolution"])  # any block above 16 gets all levels together
    features = net.synthesis.encoder(rendered(case), [above])[above]
    assert_close_to_case(case, "concat_features_0_every4", features[:1, :, ::4, ::4], REL)


# ---- attention and alignment


def check_alignment(case: Case) -> None:
    net, images = make_discriminator(case.params["D"], case.group("sd")), case["img"].requires_grad_()
    judged = net(images, case.get("c"), features=LEVEL_RESOLUTIONS)
    assert_close_to_case(case, "logits", judged.logits, REL)
    check_levels(case, judged)
    config = RELEASED_ALIGNMENT.model_copy(update={"tau": case.params["tau"]})
    loss = alignment_loss(judged.logits, judged.features, rendered(case), config, images.shape[3])
    assert_close_to_case(case, "align_loss", loss, LOSS_REL)
    assert_close_to_case(case, "dimg", torch.autograd.grad(loss, images)[0], LOSS_REL)


def check_levels(case: Case, judged: DiscriminatorOutput) -> None:
    """Channel weights, attention, target and distance of each level."""
    size, tau = case.params["D"]["img_resolution"], case.params["tau"]
    weights = channel_weights(judged.logits, judged.features, RELEASED_ALIGNMENT.gradient)
    maps = attention_maps(judged.logits, judged.features, RELEASED_ALIGNMENT, size)
    for level, key in enumerate(LEVELS):
        target = target_map(rendered(case), level, size)
        assert_close_to_case(case, f"weights/{key}", weights[LEVEL_RESOLUTIONS[level]], REL)
        assert_close_to_case(case, f"attention/{key}", maps[level], REL)
        assert_close_to_case(case, f"loss/{key}", truncated_distance(maps[level], target, tau), LOSS_REL)
        if f"heatmap_normalised/{key}" in case:
            assert_close_to_case(case, f"heatmap_normalised/{key}", target, REL)
        selected = ((maps[level] - target).abs() > tau).sum().item()
        assert selected == pytest.approx(case.params["selected_counts"][key], abs=2)  # rounding at the threshold


CHECKS: dict[str, Callable[[Case], None]] = {
    "sel": check_spatial_encoding,
    "heatmap": check_heatmap,
    "generator": check_generator,
    "align": check_alignment,
}
