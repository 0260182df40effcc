"""The discriminator: features handed out, minibatch standard deviation, labels, frozen layers."""

import pytest
import torch

from tests.training.small import discriminator_config, make_discriminator, real_images, seeded
from training.networks import backbones
from training.networks.discriminator import minibatch_std
from training.networks.generator import set_memory_format

pytestmark = pytest.mark.numeric

each_architecture = pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])


# ---- features


@each_architecture
def test_features_are_block_outputs_by_resolution(architecture):
    net = make_discriminator(architecture=architecture)
    logits, features = net(real_images(), features=(4, 8, 16))
    assert logits.shape == (4, 1)
    assert {r: tuple(f.shape) for r, f in features.items()} == {r: (4, 8, r, r) for r in (4, 8, 16)}


@each_architecture
def test_asking_for_features_changes_nothing(architecture):
    net = make_discriminator(architecture=architecture)
    plain, some = net(real_images()), net(real_images(), features=[8])
    assert torch.equal(plain.logits, some.logits)
    assert plain.features == {}
    assert list(some.features) == [8]


@each_architecture
def test_logits_come_from_the_features(architecture):
    """The gradient from the logits to each feature is what GradCAM needs."""
    logits, features = make_discriminator(architecture=architecture)(real_images(), features=(4, 8, 16))
    gradients = torch.autograd.grad(logits.sum(), list(features.values()))
    assert all(g.abs().max() > 0 for g in gradients)


def test_small_networks_hand_out_what_they_have():
    net = make_discriminator(img_resolution=8)
    assert list(net(real_images()[:, :, :8, :8], features=(4, 8, 16)).features) == [4]


# ---- minibatch standard deviation


def test_minibatch_std_appends_the_deviation_of_strided_groups(generator):
    x = torch.randn([6, 4, 3, 3], generator=generator())
    y = minibatch_std(x, group_size=3, num_channels=2)
    assert y.shape == (6, 6, 3, 3)
    assert torch.equal(y[:, :4], x)
    for n in range(6):
        group = x[n % 2 :: 2]  # 6 / 3 groups; sample n is in group n mod 2
        for f in range(2):
            part = group[:, 2 * f : 2 * f + 2]
            expected = (part.var(0, unbiased=False) + 1e-8).sqrt().mean()
            torch.testing.assert_close(y[n, 4 + f], expected.expand(3, 3))


@pytest.mark.parametrize("group_size", [None, 10])
def test_minibatch_std_over_the_whole_batch(group_size, generator):
    x = torch.randn([5, 2, 3, 3], generator=generator())
    assert torch.equal(minibatch_std(x, group_size, 1), minibatch_std(x, 5, 1))


def test_minibatch_std_needs_whole_groups():
    with pytest.raises(ValueError, match="6 samples cannot be divided into groups of 4"):
        minibatch_std(torch.zeros(6, 2, 4, 4), 4, 1)
    with pytest.raises(ValueError, match="6 samples cannot be divided into groups of 4"):
        make_discriminator()(real_images(6))


def test_identical_samples_have_no_deviation(generator):
    x = torch.randn([1, 2, 3, 3], generator=generator()).expand(4, -1, -1, -1)
    torch.testing.assert_close(minibatch_std(x, 4, 1)[:, 2:], torch.full([4, 1, 3, 3], 1e-4))


def test_without_minibatch_std_samples_are_judged_alone():
    net = make_discriminator(mbstd_num_channels=0)
    together = net(real_images(3)).logits
    torch.testing.assert_close(together[:1], net(real_images(3)[:1]).logits, rtol=1e-4, atol=1e-5)


# ---- labels


@pytest.mark.parametrize("cmap_dim", [None, 5])
def test_labels_change_the_logits_of_their_sample(cmap_dim):
    net = make_discriminator(c_dim=3, cmap_dim=cmap_dim, mbstd_num_channels=0)
    labels = torch.eye(3)[[0, 1, 2, 0]]
    before, after = net(real_images(), labels).logits, net(real_images(), torch.eye(3)[[1, 1, 2, 0]]).logits
    assert before.shape == (4, 1)
    assert before[0] != after[0]
    torch.testing.assert_close(before[1:], after[1:])


def test_missing_labels_are_refused():
    with pytest.raises(ValueError, match=r"\bc\b"):
        make_discriminator(c_dim=3)(real_images())


# ---- frozen layers


@pytest.mark.parametrize(
    "architecture, order",
    [
        ("resnet", ["32.from_rgb", "32.conv0", "32.conv1", "32.skip", "16.conv0", "16.conv1", "16.skip"]),
        ("orig", ["32.from_rgb", "32.conv0", "32.conv1", "16.conv0", "16.conv1"]),
        ("skip", ["32.from_rgb", "32.conv0", "32.conv1", "16.from_rgb", "16.conv0", "16.conv1"]),
    ],
)
def test_layers_are_frozen_from_the_image_on(architecture, order):
    for count in range(len(order) + 1):
        net = make_discriminator(architecture=architecture)
        net.freeze_layers(count)
        frozen = {name.rsplit(".", 1)[0] for name, p in net.named_parameters() if not p.requires_grad}
        assert frozen == {f"blocks.{name}" for name in order[:count]}


def test_frozen_layers_get_no_gradient_but_images_do():
    net, images = make_discriminator(), real_images().requires_grad_()
    net.freeze_layers(4)
    net(images).logits.sum().backward()
    assert all((p.grad is None) == name.startswith("blocks.32.") for name, p in net.named_parameters())
    assert images.grad.abs().max() > 0


# ---- memory format


@each_architecture
def test_channels_last_gives_the_same(architecture):
    net = make_discriminator(architecture=architecture)
    expected = net(real_images(), features=(8,))
    set_memory_format(net, True)
    found = net(real_images(), features=(8,))
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.features[8], expected.features[8], rtol=1e-4, atol=1e-5)
    assert found.features[8].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("architecture", ["resnet", "orig", "skip"])
@pytest.mark.parametrize("backbone", ["stylegan2", "sndcgan"])
def test_a_backbone_knows_how_many_layers_can_be_frozen(architecture, backbone):
    config = discriminator_config(architecture=architecture, backbone=backbone)
    D = seeded(lambda: backbones.make_discriminator(config))
    layers = D._layers() if backbone == "stylegan2" else list(D.layers_from_image())  # without the one for the logit
    assert backbones.BACKBONES[backbone].freezable_layers(config) == len(layers)
