"""Metrics on a GPU: the CPU's features, computed without waiting."""

import pytest
import torch

from metrics import features
from metrics.context import network_context
from metrics.extractors import Extractors, WeightFiles
from metrics.features import features_of, generated_features, generated_images, real_features
from metrics.neighbors import agreement
from metrics.registry import evaluate
from tests.optional import is_installed
from tests.tiny_models import tiny_config, tiny_generator, tiny_model
from tests.training.data_samples import picture, write_zip
from torch_utils.distributed import World
from training.data.dataset import ImageDataset
from training.sampling import Model

pytestmark = pytest.mark.gpu


@pytest.fixture
def contexts(tmp_path, inception_weights):
    """(on the CPU, on the GPU): the same otherwise."""
    data = ImageDataset(write_zip(tmp_path / "noise.zip", {f"{i:02d}.png": picture(i, 32) for i in range(20)}))
    config = tiny_config(resolution=32)
    extractors = Extractors(WeightFiles({"inception": inception_weights}))
    shared = {"D": None, "dataset": data, "batch_size": 4, "extractors": extractors, "use_cache": False}
    on_gpu = Model(tiny_generator(config), config, "cuda")
    return (
        network_context(model=tiny_model(resolution=32), **shared),
        network_context(model=on_gpu, world=World(device=torch.device("cuda")), **shared),
    )


has_fidelity = is_installed("torch_fidelity")
needs_fidelity = pytest.mark.skipif(not has_fidelity, reason="torch-fidelity is not installed here")


@pytest.mark.parametrize(
    "extractor, output", [pytest.param("inception", "2048", marks=needs_fidelity), ("random", "pooled")]
)
def test_features_are_the_cpus(contexts, extractor, output):
    cpu, gpu = (real_features(context, extractor, None)[output] for context in contexts)
    assert gpu.device.type == "cpu"
    assert ((cpu - gpu).abs().max() / cpu.abs().max()) < 1e-4


def test_values_are_the_cpus(contexts):
    cpu, gpu = (evaluate("rfd12_full", context)["results"]["rfd12_full"] for context in contexts)
    assert gpu == pytest.approx(cpu, rel=1e-2)


def test_batches_do_not_wait_for_the_extractor(contexts):
    """Nothing between the ingredients and the launch of an extraction waits for the device."""
    context = contexts[1]
    extractor = context.extractors.get("random", context.device)
    stream = torch.cuda.Stream()
    mix = features._generator_inputs(context, range(4))
    features._launch(features._make(context, mix), extractor, stream).wait()  # loads kernels
    torch.cuda.set_sync_debug_mode("error")
    try:
        launched = [features._launch(features._make(context, mix), extractor, stream) for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    rows = [each.wait()["pooled"] for each in launched]
    assert torch.equal(rows[0], rows[2])


def test_several_batches_are_in_flight(contexts):
    context = contexts[1]
    made = []

    def noting():
        for images in generated_images(context, [range(i, i + 4) for i in range(0, 32, 4)]):
            made.append(1)
            yield images

    results = features_of(noting(), context.extractors.get("random", context.device))
    next(results)
    assert len(made) == features.IN_FLIGHT + 1
    assert len(list(results)) == 7


def test_neighbours_are_the_cpus(contexts):
    real, fake = torch.randn(2, 200, 64, generator=torch.Generator().manual_seed(1))
    assert agreement(real, fake, 3) == agreement(real.cuda(), fake.cuda(), 3)


def test_generated_features_repeat(contexts):
    context = contexts[1]
    first, second = (generated_features(context.with_num(None), "random", n)["pooled"] for n in (10, 8))
    assert torch.equal(first[:8], second)
