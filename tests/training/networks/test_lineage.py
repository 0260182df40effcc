"""What holds of every backbone: shapes, heatmaps, labels, frozen layers, every phase, snapshots and sampling."""

import re
from pathlib import Path

import pytest
import torch

from dnnlib.errors import UserError
from tests.training.networks.lineage import awake, discriminator, generator, layout_for, lineage_config, noise
from tests.training.saved import save_snapshot
from tests.training.small import ENCODING, global_streams, make_batch, make_layout, make_networks
from torch_utils.randomness import RandomStreams
from training.cost.summary import summarize
from training.losses.phases import d_main, d_r1, d_r2, g_main, g_move
from training.networks.backbones import BACKBONES
from training.presets.choices import check_choices
from training.runs.snapshot import snapshot_name
from training.sampling import Model

pytestmark = pytest.mark.numeric

LINEAGE = ["biggan", "progan", "r3gan", "stylegan"]


@pytest.mark.parametrize("backbone", LINEAGE)
@pytest.mark.parametrize("resolution", [8, 32, 64])
@pytest.mark.parametrize("encoding", [None, ENCODING, {**ENCODING, "layer": "concat", "max_resolution": None}])
def test_shapes(backbone, resolution, encoding):
    of = lineage_config(backbone, encoding, resolution=resolution)
    outputs = {}
    G = generator(of)
    images = G.synthesis(G.styles(noise(2, 8)), layout_for(of), block_outputs=outputs)
    assert images.shape == (2, 3, resolution, resolution)
    assert sorted(outputs) == G.synthesis.resolutions
    assert all(x.shape == (2, of.generator.synthesis.channels(r), r, r) for r, x in outputs.items())
    out = discriminator(of)(images, features=[resolution // 2, 4])
    assert out.logits.shape == (2, 1)
    assert [f.shape[2] for f in out.features.values()] == sorted({resolution // 2, 4}, reverse=True)


@pytest.mark.parametrize("backbone", LINEAGE)
def test_every_level_of_a_layout_is_heard(backbone):
    G = awake(generator(lineage_config(backbone))).eval()
    layout, z = make_layout(2), noise(2, 8)
    before = G(z, layout=layout)
    for level in range(3):
        assert not torch.equal(G(z, layout=layout.moved(level, 0, 0.3, 0.3)), before)
    with pytest.raises(ValueError, match="needs a layout"):
        G(z)


@pytest.mark.parametrize("backbone", LINEAGE)
def test_an_encoding_leaves_the_other_weights_of_a_seed_as_they_are(backbone):
    plain, steered = (generator(lineage_config(backbone, encoding)).state_dict() for encoding in (None, ENCODING))
    assert plain.keys() < steered.keys()
    assert [name for name in plain if not torch.equal(plain[name], steered[name])] == []
    assert all(".sel." in name or ".encoder." in name for name in steered.keys() - plain.keys())


@pytest.mark.parametrize("backbone", LINEAGE)
def test_labels_matter_to_both(backbone):
    of = lineage_config(backbone, c_dim=3)
    G, D, z, rows = awake(generator(of)).eval(), awake(discriminator(of)).eval(), noise(2, 8), torch.eye(3)
    images = [G(z, rows[[k, k]], make_layout(2)) for k in range(3)]
    assert not torch.allclose(images[0], images[1])
    scores = [D(images[0], rows[[k, k]]).logits for k in range(3)]
    assert not torch.allclose(scores[0], scores[1])


@pytest.mark.parametrize("backbone", [*LINEAGE, "sndcgan", "stylegan2"])
def test_missing_labels_are_refused(backbone):
    of = lineage_config(backbone, c_dim=3)
    G, D, z, layout = generator(of), discriminator(of), noise(2, 8), make_layout(2)
    images = G(z, torch.eye(3)[:2], layout)
    for c in (None, torch.zeros(2, 2)):
        said = None if c is None else [2, 2]
        for call in (lambda c=c: G(z, c, layout), lambda c=c: D(images, c)):
            with pytest.raises(ValueError, match=re.escape(f"c must be [N, 3], not {said}")):
                call()


@pytest.mark.parametrize("backbone", LINEAGE)
def test_layers_freeze_from_the_image_on(backbone):
    of = lineage_config(backbone)
    most = BACKBONES[backbone].freezable_layers(of.discriminator)
    counts = []
    for count in (0, 1, most, most + 1):
        D = discriminator(of)
        D.freeze_layers(count)
        counts.append(sum(not p.requires_grad for p in D.parameters()))
    assert 0 == counts[0] < counts[1] < counts[2] == counts[3] < len(list(D.parameters()))


@pytest.mark.parametrize("backbone", LINEAGE)
@pytest.mark.parametrize("layer", ["indoor", "flatten"])
def test_encodings_that_are_no_layer_are_refused(backbone, layer):
    scene, sampler = ({"counts": [3]}, {"kind": "multi-object"}) if layer == "indoor" else ({}, {})
    of = lineage_config(backbone, {**ENCODING, **scene, "layer": layer}, sampler=sampler)
    with pytest.raises(UserError, match=f"backbone {backbone} has no encoding layer {layer}; use norm or concat"):
        check_choices(of)


@pytest.mark.parametrize("backbone", LINEAGE)
@pytest.mark.parametrize("phase", [g_main, g_move, d_main, d_r1, d_r2])
@pytest.mark.parametrize("adversarial", ["logistic", "hinge", "relativistic"])
def test_phases(backbone, phase, adversarial):
    of = lineage_config(backbone, loss={"adversarial": adversarial, "move_weight": 1, "r2_gamma": 1})
    networks, before = make_networks(of), global_streams()
    loss, terms = phase(networks, make_batch(networks, of), of, RandomStreams(0, "cpu"))
    loss.backward()
    assert loss.isfinite()
    assert global_streams() == before
    if phase is g_main:
        assert terms["loss/align"] > 0


@pytest.mark.parametrize("backbone", LINEAGE)
def test_alignment_teaches_the_encoding(backbone):
    of = lineage_config(backbone)
    networks = make_networks(of)
    awake(networks.G), awake(networks.D).requires_grad_(False)
    loss, _ = g_main(networks, make_batch(networks, of), of, RandomStreams(0, "cpu"))
    loss.backward()
    assert networks.G.synthesis.sel["4"].output.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in networks.D.parameters())


@pytest.mark.parametrize("backbone", LINEAGE)
@pytest.mark.parametrize("c_dim", [0, 3])
def test_snapshots_and_sampling(tmp_path: Path, backbone: str, c_dim: int):
    of = lineage_config(backbone, c_dim=c_dim)
    networks = make_networks(of)
    save_snapshot(tmp_path / snapshot_name(1), of, 1, {"G": networks.G, "G_ema": networks.G, "D": networks.D})
    model = Model.load(tmp_path, "cpu")
    labels = {"labels": 1} if c_dim else {}
    images = model.images([1, 2], **labels)
    assert images.shape == (2, 3, 32, 32)
    close = {"rtol": 0, "atol": 1e-3}  # AdaIN of StyleGAN's constant divides by a variance of next to nothing
    torch.testing.assert_close(model.images([2], **labels), images[1:], **close)
    again = model.images(ws=model.styles([1, 2], **labels), layout=model.layout([1, 2]))
    torch.testing.assert_close(again, images, **close)
    moved = model.layout([1]).moved(0, 0, 0.4, 0)
    assert not torch.equal(model.images([1], layout=moved, **labels), images[:1])


@pytest.mark.parametrize("backbone", LINEAGE)
def test_what_it_takes_is_known_before(backbone):
    """--dry-run makes the networks where tensors have no contents."""
    of = lineage_config(backbone)
    cost = summarize(of)
    G, D = generator(of), discriminator(of)
    assert sum(cost.parameters["G"].values()) == sum(p.numel() for p in G.parameters())
    assert sum(cost.parameters["D"].values()) == sum(p.numel() for p in D.parameters())
    assert cost.parameters["G"]["spatial encoding"] > 0
