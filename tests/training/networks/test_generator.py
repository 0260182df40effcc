"""The generator as a whole: latents, labels and layout to images."""

import pytest
import torch

from tests.precision import float64
from tests.training.small import INDOOR, make_discriminator, make_generator, make_layout, real_images
from training.networks.generator import set_memory_format
from training.networks.synthesis import Noise

pytestmark = pytest.mark.numeric


def latents(count: int = 3) -> torch.Tensor:
    return torch.randn([count, 8], generator=torch.Generator().manual_seed(0))


def test_images_have_the_configured_shape():
    net = make_generator(img_channels=1)
    assert net(latents(), layout=make_layout(3)).shape == (3, 1, 32, 32)


def test_all_layers_get_the_same_w_until_something_mixes():
    net = make_generator()
    ws = net.styles(latents())
    assert ws.shape == (3, net.num_ws, 8)
    assert torch.equal(ws, ws[:, :1].expand_as(ws))


def test_labels_change_the_image():
    net, layout = make_generator(c_dim=2), make_layout(3)
    a, b = torch.eye(2)[[0, 0, 0]], torch.eye(2)[[1, 0, 0]]
    first, second = net(latents(), a, layout), net(latents(), b, layout)
    assert not torch.allclose(first[0], second[0])
    torch.testing.assert_close(first[1:], second[1:])


def test_image_of_a_latent_does_not_depend_on_the_batch():
    with float64():
        net, layout = make_generator(), make_layout(3)
        together = net(latents(), layout=layout)
        alone = torch.cat([net(latents()[i : i + 1], layout=layout[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_truncation_brings_images_together():
    net, layout = make_generator(noise_strength=0.0), make_layout(1).repeat(3)
    net.mapping.w_avg.normal_(generator=torch.Generator().manual_seed(1))

    def spread(psi: float) -> float:
        return net(latents(), layout=layout, truncation_psi=psi).var(0).mean().item()

    assert spread(0.0) == pytest.approx(0, abs=1e-9)
    assert spread(0.0) < spread(0.5) < spread(1.0)


def test_truncation_cutoff_spares_the_later_layers():
    net = make_generator()
    net.mapping.w_avg.fill_(1)
    ws, cut = net.styles(latents()), net.styles(latents(), truncation_psi=0.5, truncation_cutoff=2)
    assert torch.equal(cut[:, 2:], ws[:, 2:])
    torch.testing.assert_close(cut[:, :2], (ws[:, :2] + 1) / 2)


@pytest.mark.parametrize("training", [True, False])
def test_images_and_buffers_do_not_depend_on_the_training_flag(training):
    net, layout = make_generator(), make_layout(3)
    expected = net(latents(), layout=layout)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    net.train(training)
    assert torch.equal(net(latents(), layout=layout), expected)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_noise_mode_reaches_the_synthesis():
    net, layout = make_generator(), make_layout(3)
    assert not torch.allclose(net(latents(), layout=layout), net(latents(), layout=layout, noise=Noise("none")))


def test_channels_last_gives_the_same():
    with float64():
        net, layout = make_generator(), make_layout(3)
        expected = net(latents(), layout=layout)
        set_memory_format(net, True)
        torch.testing.assert_close(net(latents(), layout=layout), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("encoding", [None, {"hidden_channels": 8}])
def test_every_parameter_learns(encoding):
    """Noise strengths too; only what no image depends on may stay without a gradient."""
    net = make_generator(encoding=encoding)
    layout = None if encoding is None else make_layout(3)
    net(latents(), layout=layout).square().sum().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert without == []


@pytest.mark.parametrize("resolutions", [1, 3])
def test_half_precision_changes_only_rounding(resolutions: int):
    """bfloat16 runs on CPUs, too; float16 only on GPUs. Pictures are float32 either way."""
    half = {"num_fp16_res": resolutions, "conv_clamp": 256}
    exact = make_generator(synthesis={**half, "half_type": "float16"})
    rough = make_generator(synthesis={**half, "half_type": "bfloat16"})
    z, layout = torch.randn([4, 8], generator=torch.Generator().manual_seed(0)), make_layout()
    wanted, images = exact(z, None, layout), rough(z, None, layout)
    assert images.dtype == torch.float32
    error = ((images - wanted).norm() / wanted.norm()).item()
    assert 1e-4 < error < 3e-2


def test_half_precision_is_kept_by_the_discriminator_too():
    half = {"num_fp16_res": 2, "conv_clamp": 256}
    exact, rough = (make_discriminator(**half, half_type=kind) for kind in ("float16", "bfloat16"))
    images = real_images()
    wanted, judged = exact(images), rough(images, features=(16,))
    assert judged.features[16].dtype == torch.bfloat16
    assert judged.logits.dtype == torch.float32
    assert 1e-5 < ((judged.logits - wanted.logits).norm() / wanted.logits.norm()).item() < 5e-2


# ---- print(G)


def test_printing_a_generator_documents_it():
    text = str(make_generator())
    for said in ("z 8, c 0 -> w 8; mean of w decays by 0.995", "3x3, up 2, noise, conditioned by SpatialEncoding",
                 "1x1, conditioned by SpatialEncoding", "heatmaps convolved at the layer's size"):  # fmt: skip
        assert said in text, text
    assert "a style for each object" in str(make_generator(encoding=INDOOR))


def test_printing_a_discriminator_documents_it():
    text = str(make_discriminator())
    assert "1 channel of deviation within groups of 4" in text
    assert "3x3, down 2, lrelu" in text
