"""What holds of every backbone that is given a label map or a caption."""

from pathlib import Path

import pytest
import torch

from dnnlib.errors import UserError
from tests.training.networks.lineage import (
    CONDITIONED,
    awake,
    conditioned_config,
    conditions,
    discriminator,
    generator,
    layout_for,
    lineage_config,
    noise,
)
from tests.training.saved import save_snapshot
from tests.training.small import ENCODING, global_streams, make_layout, make_networks, real_images
from torch_utils.randomness import RandomStreams
from training.cost.summary import summarize
from training.inputs import Batch, draw_inputs
from training.losses.phases import d_main, d_r1, d_r2, g_main, g_move
from training.networks.backbones import BACKBONES
from training.networks.growing import set_level
from training.presets.choices import check_choices
from training.runs.snapshot import snapshot_name
from training.sampling import Model

pytestmark = pytest.mark.numeric

BACKBONE = pytest.mark.parametrize("backbone", CONDITIONED)


def batch(networks, of, count: int = 4) -> Batch:
    c = conditions(of, count)
    inputs = draw_inputs(networks.G, of, RandomStreams(3, "cpu"), conditions(of, count, seed=1))
    return Batch(inputs, real_images(count), c)


@BACKBONE
@pytest.mark.parametrize("resolution", [16, 32, 64])
@pytest.mark.parametrize("encoding", [None, ENCODING])
def test_shapes(backbone: str, resolution: int, encoding: dict | None):
    of = conditioned_config(backbone, encoding, resolution)
    G, c, outputs = generator(of), conditions(of), {}
    images = G.synthesis(G.styles(noise(2, 8), c), layout_for(of), block_outputs=outputs)
    assert images.shape == (2, 3, resolution, resolution)
    assert images.abs().max() <= 1
    assert sorted(outputs) == G.synthesis.resolutions
    assert all(x.shape == (2, of.generator.synthesis.channels(r), r, r) for r, x in outputs.items())
    out = discriminator(of)(images, c, features=[resolution // 2, 4])
    assert out.logits.shape[0] == 2
    assert sorted(out.features) == [4, resolution // 2]
    assert all(x.shape[2] == r for r, x in out.features.items())


@BACKBONE
def test_missing_conditions_are_refused(backbone: str):
    of = conditioned_config(backbone)
    for call in (lambda: generator(of)(noise(2, 8), layout=make_layout(2)), lambda: discriminator(of)(real_images(2))):
        with pytest.raises(ValueError, match=rf"c must be \[N, {of.generator.c_dim}\], not None"):
            call()


def test_patches_are_scored_at_two_scales():
    assert discriminator(conditioned_config("spade"))(noise(2, 3, 32, 32), noise(2, 1024)).logits.shape == (2, 2 * 64)


@BACKBONE
def test_the_condition_matters_to_both(backbone: str):
    of = conditioned_config(backbone)
    G, D = (awake(network, 0.1).eval() for network in (generator(of), discriminator(of)))
    z, layout = noise(2, 8), make_layout(2)
    c, other = conditions(of), conditions(of, seed=1)
    images = G(z, c, layout)
    assert not torch.allclose(G(z, other, layout), images)
    assert not torch.allclose(D(images, other).logits, D(images, c).logits)


@BACKBONE
def test_heatmaps_are_heard(backbone: str):
    G = awake(generator(conditioned_config(backbone)), 0.1).eval()
    layout, z, c = make_layout(2), noise(2, 8), conditions(conditioned_config(backbone))
    assert not torch.equal(G(z, c, layout.moved(0, 0, 0.3, 0.3)), G(z, c, layout))
    with pytest.raises(ValueError, match="needs a layout"):
        G(z, c)


@BACKBONE
def test_an_encoding_leaves_the_other_weights_of_a_seed_as_they_are(backbone: str):
    plain, steered = (generator(conditioned_config(backbone, encoding)).state_dict() for encoding in (None, ENCODING))
    assert [name for name in plain if not torch.equal(plain[name], steered[name])] == []
    assert all(".sel." in name or ".encoder." in name for name in steered.keys() - plain.keys())


@BACKBONE
@pytest.mark.parametrize("phase", [g_main, g_move, d_main, d_r1, d_r2])
@pytest.mark.parametrize("adversarial", ["logistic", "hinge", "relativistic"])
def test_phases_with_all_that_is_about_conditions(backbone: str, phase, adversarial: str):
    kl = 1 if backbone == "stackgan" else 0
    loss = {"feature_matching": 10, "matching_aware": True, "kl_weight": kl, "move_weight": 1, "r2_gamma": 1}
    of = conditioned_config(backbone, loss={**loss, "adversarial": adversarial})
    networks, before = make_networks(of), global_streams()
    loss, terms = phase(networks, batch(networks, of), of, RandomStreams(0, "cpu"))
    loss.backward()
    assert loss.isfinite()
    assert global_streams() == before
    if phase is g_main:
        assert min(terms["loss/align"], terms["loss/G_features"]) > 0
        assert ("loss/G_kl" in terms) == (kl > 0)
    if phase is d_main:
        assert terms["scores/wrong"].shape == terms["scores/real"].shape


@BACKBONE
def test_layers_freeze_from_the_image_on(backbone: str):
    of = conditioned_config(backbone)
    most = BACKBONES[backbone].freezable_layers(of.discriminator)
    counts = []
    for count in (0, 1, most, most + 1):
        D = discriminator(of)
        D.freeze_layers(count)
        counts.append(sum(not p.requires_grad for p in D.parameters()))
    assert 0 == counts[0] < counts[1] < counts[2] == counts[3] < len(list(D.parameters()))


@BACKBONE
def test_snapshots_and_sampling(tmp_path: Path, backbone: str):
    of = conditioned_config(backbone)
    networks, c = make_networks(of), conditions(of)
    save_snapshot(tmp_path / snapshot_name(1), of, 1, {"G": networks.G, "G_ema": networks.G, "D": networks.D})
    model = Model.load(tmp_path, "cpu")
    images = model.images([1, 2], labels=c)
    torch.testing.assert_close(model.images([2], labels=c[1:]), images[1:], rtol=0, atol=1e-5)
    again = model.images(ws=model.styles([1, 2], labels=c), layout=model.layout([1, 2]))
    torch.testing.assert_close(again, images, rtol=0, atol=1e-5)
    assert not torch.equal(model.images([1, 2], labels=conditions(of, seed=1)), images)
    with pytest.raises(UserError, match=f"give rows of {of.generator.c_dim} numbers"):
        model.images([1], labels=1)
    with pytest.raises(UserError, match=f"give rows of {of.generator.c_dim} numbers"):
        model.images([1])


@BACKBONE
def test_what_it_takes_is_known_before(backbone: str):
    of = conditioned_config(backbone, loss={"matching_aware": True, "feature_matching": 1})
    cost, G = summarize(of), generator(of)
    assert sum(cost.parameters["G"].values()) == sum(p.numel() for p in G.parameters())


@BACKBONE
def test_without_a_condition_it_is_refused(backbone: str):
    of = conditioned_config(backbone)
    data = of.data.model_copy(update={"conditional": False})
    with pytest.raises(UserError, match=f"backbone {backbone} makes images of a condition"):
        check_choices(of.model_copy(update={"data": data}))


def test_a_condition_that_a_backbone_does_not_understand_is_refused():
    of = lineage_config("biggan", None, 6, data={"path": "none", "conditional": True, "condition": "text"})
    with pytest.raises(UserError, match=r"data\.condition is text, but backbone biggan understands labels only"):
        check_choices(of)
    with pytest.raises(UserError, match="kl_weight must be 0 with backbone biggan"):
        check_choices(lineage_config("biggan", None, loss={"kl_weight": 1}))


def test_the_second_stage_learns_from_the_picture_of_the_first_as_it_is():
    of = conditioned_config("stackgan", None, loss={"kl_weight": 1})
    networks = make_networks(of)
    for level, learns in ((2, "first"), (3, "second")):
        for network in (networks.G, networks.D):
            network.zero_grad()
            set_level(network, level)
        g_main(networks, batch(networks, of), of, RandomStreams(0, "cpu"))[0].backward()
        d_main(networks, batch(networks, of), of, RandomStreams(0, "cpu"))[0].backward()
        for network in (networks.G, networks.D):
            found = {name.removeprefix("synthesis.").split(".")[0] for name, p in network.named_parameters()
                     if p.grad is not None}  # fmt: skip
            assert found == {learns}


def test_the_first_stage_makes_pictures_of_half_the_size():
    of = conditioned_config("stackgan", None)
    G, z, c = generator(of).eval(), noise(2, 8), conditions(of)
    set_level(G, 2)
    squares = G(z, c).unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert torch.equal(squares, squares[..., :1].expand_as(squares))
    with pytest.raises(UserError, match=r"set growth\.start_resolution=16"):
        check_choices(of.model_copy(update={"growth": None}))


def test_the_second_stage_begins_with_the_picture_of_the_first():
    of = conditioned_config("stackgan", None)
    G, z, c, images = generator(of).eval(), noise(2, 8), conditions(of), []
    for level in (2, 3):
        set_level(G, level)
        images.append(G(z, c))
    assert torch.equal(*images)
    second = G.synthesis.second
    torch.nn.init.normal_(second.correction.weight)
    torch.nn.init.ones_(second.gain)
    small = images[0][:, :, ::2, ::2]
    added = second(small, z, c, lambda x: x)
    expected = (images[0].double().atanh() + added).tanh()
    torch.testing.assert_close(G(z, c).double(), expected, atol=1e-5, rtol=0)
