import itertools

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from tests.training.data_samples import picture, write_zip
from training.data.dataset import ImageDataset
from training.data.loader import SampleOrder, batches


@pytest.fixture
def dataset(tmp_path):
    files = {f"{i:02d}.png": picture(i) for i in range(10)}
    return ImageDataset(write_zip(tmp_path / "a.zip", files, {"labels": [[name, int(name[:2])] for name in files]}),
                        use_labels=True)


def first(count, generator):
    return list(itertools.islice(generator, count))


def classes(batch):
    return batch[1].argmax(dim=1).tolist()


def test_every_epoch_is_a_permutation_and_they_differ():
    epochs = SampleOrder(50, seed=3).indices(0, 200).reshape(4, 50)
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_order_depends_on_seed_and_position_only():
    whole = SampleOrder(7, seed=1).indices(0, 100)
    order = SampleOrder(7, seed=1)
    for start, count in [(90, 10), (0, 5), (3, 60), (50, 1), (20, 0)]:
        np.testing.assert_array_equal(order.indices(start, count), whole[start : start + count])
    assert not np.array_equal(SampleOrder(7, seed=2).indices(0, 100), whole)


def test_only_two_permutations_are_kept():
    order = SampleOrder(4, seed=0)
    order.indices(0, 100)
    assert len(order._permutations) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_follow_the_order(dataset, workers):
    order = SampleOrder(10, seed=5)
    found = first(5, batches(dataset, order, start=8, batch_size=4, workers=workers))
    assert [classes(batch) for batch in found] == order.indices(8, 20).reshape(5, 4).tolist()
    images, labels = found[0]
    assert (images.dtype, images.shape) == (torch.uint8, (4, 3, 8, 8))
    assert (labels.dtype, labels.shape) == (torch.float32, (4, 10))
    np.testing.assert_array_equal(images[1], dataset[int(order.indices(9, 1)[0])][0])


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_order_does_not_depend_on_the_number_of_processes(dataset, world, workers):
    """Within an epoch and across its end: 10 images, 8 a step."""
    order = SampleOrder(10, seed=5)
    expected = order.indices(3, 32).reshape(4, 8)
    ranks = [
        first(4, batches(dataset, SampleOrder(10, seed=5), 3, 8, rank=rank, world=world, workers=workers))
        for rank in range(world)
    ]
    for step, indices in enumerate(expected):
        images, labels = (torch.cat([rank[step][part] for rank in ranks]) for part in (0, 1))
        assert labels.argmax(dim=1).tolist() == indices.tolist()
        np.testing.assert_array_equal(images, [dataset[int(i)][0] for i in indices])


def test_a_run_continued_with_more_processes_sees_what_it_would_have_seen(dataset):
    order = SampleOrder(10, seed=5)
    whole = [classes(batch) for batch in first(6, batches(dataset, order, 0, 8))]
    later = [first(3, batches(dataset, order, 3 * 8, 8, rank=rank, world=4)) for rank in range(4)]
    continued = [[label for rank in later for label in classes(rank[step])] for step in range(3)]
    assert continued == whole[3:]


def test_indivisible_batch(dataset):
    with pytest.raises(ValueError, match="divide"):
        next(batches(dataset, SampleOrder(10, 0), 0, 9, world=2))


@pytest.mark.parametrize("workers", [0, 1])
def test_global_random_streams_are_left_alone(dataset, workers):
    torch.manual_seed(7)
    np.random.seed(7)
    expected = torch.rand(3), np.random.random(3)
    torch.manual_seed(7)
    np.random.seed(7)
    first(3, batches(dataset, SampleOrder(10, 0), 0, 4, workers=workers))
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.random(3), expected[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_is_one_line_from_workers_too(tmp_path, monkeypatch, workers):
    monkeypatch.setattr("training.data.dataset._CHECKED_HEADERS", 1)
    files = {f"{i}.png": picture(size=8 if i < 5 else 16) for i in range(6)}
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", files))
    with pytest.raises(UserError) as caught:
        first(3, batches(dataset, SampleOrder(6, 0), 0, 6, workers=workers))
    assert "5.png" in str(caught.value)
    assert "\n" not in str(caught.value)
