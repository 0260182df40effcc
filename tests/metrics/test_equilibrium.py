"""DI and W: their definitions, how their draws are made, and what they must not depend on."""

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from metrics.context import MetricContext, network_context
from metrics.equilibrium import disequilibrium, draw_scores, overlap, score, wasserstein
from metrics.registry import evaluate
from tests.tiny_models import tiny_config, tiny_model
from tests.training.data_samples import picture, write_zip
from training.data.dataset import ImageDataset
from training.networks.discriminator import Discriminator

pytestmark = pytest.mark.numeric


def make_context(tmp_path, *, images=80, classes=0, mirror=False, **settings) -> MetricContext:
    names = [f"{i:03d}.png" for i in range(images)]
    labels = {"labels": [[name, i % classes] for i, name in enumerate(names)]} if classes else None
    path = write_zip(tmp_path / "noise.zip", {name: picture(i, 16) for i, name in enumerate(names)}, labels)
    dataset = ImageDataset(path, use_labels=classes > 0, mirror=mirror)
    return network_context(tiny_model(classes=classes), make_discriminator(classes), dataset, **settings)


def make_discriminator(classes: int = 0, group: int | None = 4) -> Discriminator:
    config = tiny_config(classes=classes).discriminator.model_copy(update={"mbstd_group_size": group})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Discriminator(config).eval().requires_grad_(False)


def test_definitions():
    real, fake = torch.tensor([[1.0, 3.0], [0.0, 4.0]]), torch.tensor([[-2.0, 2.0], [-1.0, -3.0]])
    assert disequilibrium(real, fake).tolist() == [-1.0, 1.0]
    assert wasserstein(real, fake).tolist() == [2.0, 4.0]


def test_values_are_means_over_draws_with_their_standard_errors(tmp_path):
    context = make_context(tmp_path, seed=5, num=4)
    real, fake = (scores.numpy() for scores in draw_scores(context, 4))
    each = {"di": real.min(1) - fake.max(1), "w": real.mean(1) - fake.mean(1)}
    for name, values in each.items():
        results = evaluate(name, context)["results"]
        assert results[name] == pytest.approx(values.mean())
        assert results[f"{name}_se"] == pytest.approx(values.std(ddof=1) / 2)
    di = evaluate("di", context)["results"]
    assert di["di"] == pytest.approx(di["min_real"] - di["max_fake"])


def test_scores_are_raw_logits_of_the_pictures_of_the_model(tmp_path):
    context = make_context(tmp_path, num=1)
    rng = np.random.default_rng(0)
    indices = rng.choice(80, 64, replace=False)
    images = torch.stack([torch.from_numpy(context.dataset[i][0]) for i in indices]).float() / 127.5 - 1
    fake = context.model.images(rng.integers(2**31, size=64).tolist())
    scores = draw_scores(context, 1)
    torch.testing.assert_close(scores.real[0].float(), context.D(images).logits[:, 0])
    torch.testing.assert_close(scores.fake[0].float(), context.D(fake).logits[:, 0])


@pytest.mark.parametrize("group", [4, 8, 64, None])
def test_score_is_that_of_one_batch_whatever_the_batch_size(group, generator):
    D = make_discriminator(group=group)
    images = torch.randn(64, 3, 16, 16, generator=generator(1)) * torch.linspace(0.2, 2, 64)[:, None, None, None]
    expected = D(images).logits[:, 0].double()
    for batch_size in (1, 12, 64):
        torch.testing.assert_close(score(D, images, None, batch_size), expected, rtol=1e-5, atol=1e-6)


def test_score_refuses_groups_that_do_not_divide(generator):
    with pytest.raises(UserError, match="mbstd_group_size 6 does not divide the 64 images"):
        score(make_discriminator(group=6), torch.randn(64, 3, 16, 16, generator=generator()), None, 64)


def test_draws_follow_the_seed_alone(tmp_path):
    context = make_context(tmp_path, seed=1)
    many, few = draw_scores(context, 3), draw_scores(context, 2)
    torch.testing.assert_close(many.real[:2], few.real, rtol=0, atol=0)
    torch.testing.assert_close(many.fake[:2], few.fake, rtol=0, atol=0)
    assert not torch.equal(many.fake[0], many.fake[1])
    other = network_context(context.model, context.D, context.dataset, seed=2)
    assert not torch.equal(draw_scores(other, 1).real, few.real[:1])
    assert not torch.equal(draw_scores(other, 1).fake, few.fake[:1])


def test_real_images_of_a_draw_are_all_different(tmp_path, monkeypatch):
    context = make_context(tmp_path, images=64)
    seen = []
    original = ImageDataset.__getitem__
    monkeypatch.setattr(ImageDataset, "__getitem__", lambda self, i: seen.append(i) or original(self, i))
    draw_scores(context, 2)
    assert sorted(seen[:64]) == sorted(seen[64:]) == list(range(64))
    assert seen[:64] != seen[64:]


def test_di_and_w_share_their_pictures(tmp_path, monkeypatch):
    context = make_context(tmp_path)
    calls = []
    original = context.model.images
    monkeypatch.setattr(context.model, "images", lambda *a, **k: calls.append(1) or original(*a, **k))
    for name in ("di", "w"):
        evaluate(name, context.with_num(2))
    assert len(calls) == 2


def test_labels_reach_both_networks(tmp_path, monkeypatch):
    context = make_context(tmp_path, classes=3, num=1)
    given = []
    original = context.model.images
    monkeypatch.setattr(context.model, "images", lambda *a, **k: given.append(k["labels"]) or original(*a, **k))
    scores = draw_scores(context, 1)
    assert given[0].shape == (64, 3)
    assert set(given[0].argmax(1).tolist()) == {0, 1, 2}
    assert scores.real.isfinite().all()


def test_labels_must_be_those_of_the_model(tmp_path):
    context = make_context(tmp_path, classes=3)
    unlabelled = network_context(context.model, context.D, ImageDataset(context.dataset.path))
    with pytest.raises(UserError, match="labels have 0 numbers, but the model was trained with 3"):
        draw_scores(unlabelled, 1)


def test_too_few_images(tmp_path):
    with pytest.raises(UserError, match="63 images, too few"):
        draw_scores(make_context(tmp_path, images=63), 1)


def test_networks_in_training_are_left_as_they_are(tmp_path):
    context = make_context(tmp_path, num=1)
    context.D.train().requires_grad_(True)
    before = {name: value.clone() for name, value in context.model.G.state_dict().items()}
    evaluate("di", context)
    assert all(parameter.grad is None for parameter in context.D.parameters())
    assert all(torch.equal(value, before[name]) for name, value in context.model.G.state_dict().items())


def test_overlap_of_scores_is_the_chance_of_being_higher():
    real, fake = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[0.0, 1.0], [1.0, -5.0]])
    expected = sum((r > f) + (r == f) / 2 for r in real.flatten().tolist() for f in fake.flatten().tolist()) / 16
    assert overlap(real.double(), fake.double())["auc"] == pytest.approx(expected)


def test_overlap_of_normal_scores():
    """Equal distributions are at 0.5 and 0 whatever their spread, where DI is -4.75 deviations."""
    scores = torch.randn([2, 200, 64], generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 7
    equal = overlap(*scores)
    assert equal["auc"] == pytest.approx(0.5, abs=0.01)
    assert equal["d_prime"] == pytest.approx(0, abs=0.04)
    assert disequilibrium(*scores).mean().item() / 7 == pytest.approx(-4.75, abs=0.1)
    apart = overlap(scores[0] + 14, scores[1])
    assert apart["d_prime"] == pytest.approx(2, abs=0.05)
    assert apart["auc"] == pytest.approx(0.921, abs=0.01)  # the normal distribution function at 2 / sqrt(2)
