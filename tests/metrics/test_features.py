"""Features of generated and real images: whatever the batches and ranks, the same ones."""

import ast
from itertools import chain

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from metrics import features, statistics_cache
from metrics.context import MetricContext, network_context
from metrics.features import (
    chosen,
    chunks,
    generated_features,
    generated_images,
    image_seeds,
    in_order,
    real_features,
    real_moments,
)
from metrics.image_files import ImageFiles
from metrics.moments import moments_of
from metrics.registry import evaluate
from tests.metrics.pictures import write_pictures
from tests.tiny_models import tiny_model
from tests.training.data_samples import picture, write_zip
from tests.training.small import make_layout
from torch_utils.distributed import World, current
from torch_utils.launch import launch
from training.data.dataset import ImageDataset

COUNT = 23


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    files = {f"{i:02d}.png": picture(i, 16) for i in range(COUNT)}
    labels = [[name, i % 3] for i, name in enumerate(files)]
    return write_zip(tmp_path_factory.mktemp("data") / "noise.zip", files, {"labels": labels})


@pytest.fixture
def make_context(archive):
    def make(method="spatialgan", classes=0, mirror=False, **settings) -> MetricContext:
        data = ImageDataset(archive, use_labels=classes > 0, mirror=mirror)
        return network_context(tiny_model(method, classes=classes), None, data, **{"batch_size": 5, **settings})

    return make


# ---- chunks


@pytest.mark.parametrize("count, size, ranks", [(10, 3, 1), (10, 3, 2), (10, 4, 3), (2, 5, 3), (7, 1, 2)])
def test_chunks_cover_everything_once_and_come_back_in_order(count, size, ranks, monkeypatch):
    worlds = [World(rank, ranks) for rank in range(ranks)]
    parts = [[n for chunk in chunks(count, size, world) for n in chunk] for world in worlds]
    assert sorted(chain.from_iterable(parts)) == list(range(count))
    monkeypatch.setattr(World, "gather_rows", lambda self, rows: torch.tensor(list(chain.from_iterable(parts))))
    assert in_order(torch.tensor(parts[0]), count, size, worlds[0]).tolist() == list(range(count))


def test_chunks_are_composed_alike_for_any_number_of_ranks():
    alone = chunks(50, 7, World())
    shared = [chunks(50, 7, World(rank, 3)) for rank in range(3)]
    assert sorted(chain.from_iterable(shared), key=lambda chunk: chunk.start) == alone


def test_seeds_of_images():
    assert len(set(image_seeds(0, range(1000)))) == 1000
    assert image_seeds(4, [7, 8]) == image_seeds(4, range(10))[7:9]
    assert not set(image_seeds(0, range(1000))) & set(image_seeds(1, range(1000)))


# ---- generated images


@pytest.mark.parametrize("classes", [0, 3])
def test_image_number_i_is_the_same_in_every_batch(make_context, classes):
    context = make_context(classes=classes, seed=2)
    together = torch.cat(list(generated_images(context, [range(6)]))).int()
    apart = torch.cat(list(generated_images(context, [[0, 1], [2], [3, 4, 5]]))).int()
    assert together.shape == (6, 3, 16, 16)
    assert (together - apart).abs().max() <= 1
    assert (together[0] - together[1]).abs().max() > 10


def test_truncation_and_layout_apply(make_context):
    def images(**settings):
        return torch.cat(list(generated_images(make_context(**settings), [range(4)]))).float()

    plain = images()
    assert images(truncation_psi=0.3).std(0).mean() < plain.std(0).mean()
    fixed = images(layout=make_layout(1))
    assert not torch.equal(fixed, plain)
    assert torch.equal(images(layout=make_layout(2)), images(layout=make_layout(2)))
    assert torch.equal(images(layout=make_layout(2))[[0, 2]], images(layout=make_layout(2)[[0]])[[0, 2]])


def test_metrics_share_the_features(make_context, monkeypatch):
    made = []
    monkeypatch.setattr(features, "generated_images", lambda *a: made.append(1) or generated_images(*a))
    context = make_context()
    for name in ("rfd10_full", "rkd10_full", "rpr103_full"):
        evaluate(name, context)
    assert made == [1]


# ---- real images


def test_moments_are_those_of_the_features_however_many(make_context, monkeypatch):
    whole = real_moments(make_context(use_cache=False), "random", "pooled", None)
    monkeypatch.setattr(features, "IN_MEMORY", 0)
    streamed = real_moments(make_context(use_cache=False), "random", "pooled", None)
    expected = moments_of(real_features(make_context(use_cache=False), "random", None)["pooled"])
    for found in (whole, streamed):
        assert found.count == COUNT
        assert torch.allclose(found.mean, expected.mean, rtol=1e-6)
        assert torch.allclose(found.covariance, expected.covariance, rtol=1e-4, atol=1e-9)


def test_mirrored_images_count(make_context):
    plain, mirrored = (real_features(make_context(mirror=m), "random", None)["pooled"] for m in (False, True))
    assert (len(plain), len(mirrored)) == (COUNT, 2 * COUNT)
    assert torch.allclose(mirrored[:COUNT], plain, rtol=1e-4, atol=1e-6)


def test_a_subset_is_the_same_each_time():
    assert chosen(100, None).tolist() == list(range(100))
    assert chosen(100, 200).tolist() == list(range(100))
    assert len(set(chosen(100, 10))) == 10
    assert chosen(100, 10).tolist() == chosen(100, 10).tolist() == sorted(chosen(100, 10))


def test_what_is_kept_is_used_again(make_context, monkeypatch, cache):
    first = evaluate("rfd10_full", make_context())["results"]
    (kept,) = (cache / "statistics").iterdir()
    assert kept.name.startswith("noise-random-moments")
    monkeypatch.setattr(features, "file_features", lambda *_: pytest.fail("computed again"))
    assert evaluate("rfd10_full", make_context())["results"] == first


@pytest.mark.parametrize("change", [{"mirror": True}, {"use_cache": False}])
def test_other_data_have_statistics_of_their_own(make_context, cache, change):
    evaluate("rfd10_full", make_context())
    value = evaluate("rfd10_full", make_context())["results"]
    changed = evaluate("rfd10_full", make_context(**change))["results"]
    kept = len(list((cache / "statistics").iterdir()))
    assert (changed == value, kept) == ((True, 1) if "use_cache" in change else (False, 2))


def test_a_kept_file_that_is_cut_short_is_computed_again(make_context, cache):
    first = evaluate("rfd10_full", make_context())["results"]
    (kept,) = (cache / "statistics").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert evaluate("rfd10_full", make_context())["results"] == first
    assert kept.read_bytes() == whole


def test_a_place_that_cannot_be_written_spoils_nothing(make_context, cache):
    (cache / "statistics").write_text("a file where the folder should be")
    assert evaluate("rfd10_full", make_context())["results"]["rfd10_full"] > 0
    assert not statistics_cache.save("name", {}, {})


# ---- files


def test_pictures_of_several_sizes_are_compared(tmp_path):
    write_pictures(tmp_path / "mixed", 1, count=3, side=32)
    for file in write_pictures(tmp_path / "more", 2, count=3, side=20).iterdir():
        file.rename(tmp_path / "mixed" / f"other-{file.name}")
    context = MetricContext(ImageFiles(tmp_path / "mixed"), ImageFiles(tmp_path / "mixed"))
    assert evaluate("rfd", context)["results"]["rfd"] == pytest.approx(0, abs=1e-6)


def test_fewer_pictures_than_asked_for_are_refused(tmp_path):
    pictures = ImageFiles(write_pictures(tmp_path / "few", 1, count=3))
    with pytest.raises(UserError, match="few holds 3 images, fewer than 5"):
        generated_features(MetricContext(pictures, pictures), "random", 5)


# ---- several processes


def save_from_each_rank(archive, path) -> None:
    """Run in each process: features and metrics of the same context."""
    torch.set_num_threads(1)
    world = current()
    context = network_context(
        tiny_model(), None, ImageDataset(archive), seed=5, batch_size=4, world=world, use_cache=False
    )
    features.IN_MEMORY = 0
    found = {
        "fake": generated_features(context, "random", 18)["pooled"],
        "real": real_features(context, "random", None)["pooled"],
        "covariance": real_moments(context, "random", "pooled", None).covariance,
    }
    values = {name: evaluate(name, context)["results"] for name in ("rfd18_full", "rkd18_full", "rdc185_full")}
    np.savez(f"{path}-{world.rank}-of-{world.size}", **{k: v.numpy() for k, v in found.items()}, values=str(values))


@pytest.mark.slow
def test_two_ranks_find_what_one_finds(archive, tmp_path):
    for procs in (1, 2):
        launch(save_from_each_rank, procs, "cpu", archive, str(tmp_path / "ranks"))
    one = np.load(tmp_path / "ranks-0-of-1.npz")
    for rank in range(2):
        other = np.load(tmp_path / f"ranks-{rank}-of-2.npz")
        for name in ("fake", "real"):
            assert np.array_equal(one[name], other[name]), name
        assert np.allclose(one["covariance"], other["covariance"], rtol=1e-10, atol=1e-16)
        a, b = (eval_values(str(file["values"])) for file in (one, other))
        assert a == pytest.approx(b, rel=1e-10)


def eval_values(text: str) -> dict[str, float]:
    return {key: value for results in ast.literal_eval(text).values() for key, value in results.items()}
