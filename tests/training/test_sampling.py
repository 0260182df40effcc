"""Model: a picture depends on its seed and on what is passed in, on nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dnnlib.errors import UserError
from tests.tiny_models import save_tiny_snapshot, tiny_config, tiny_generator, tiny_model
from tests.training.small import global_streams
from training.layouts.layout import Layout, concatenate
from training.sampling import Model, latents, object_latents, to_uint8

pytestmark = pytest.mark.numeric

NOISE_MODES = ["const", "random", "none"]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def plain() -> Model:
    return tiny_model("stylegan2")


@pytest.fixture(scope="module")
def conditional() -> Model:
    return tiny_model(classes=3)


def assert_close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def assert_same_layout(a: Layout, b: Layout) -> None:
    for x, y in zip((*a.centers, *a.spreads), (*b.centers, *b.spreads), strict=True):
        assert torch.equal(x, y)


# ---- the three lines of the README


def test_three_lines_load_edit_and_draw(tmp_path: Path):
    save_tiny_snapshot(tmp_path)
    model = Model.load(tmp_path, device="cpu")
    layout = model.layout([7]).moved(0, 0, 0.3, 0.0)
    images = model.images([7], layout=layout)
    assert images.shape == (1, 3, 16, 16)
    assert images.dtype == torch.float32
    assert images.isfinite().all()
    assert not torch.equal(images, model.images([7]))


def test_a_loaded_model_draws_what_the_saved_one_drew(tmp_path: Path, model: Model):
    loaded = Model.load(save_tiny_snapshot(tmp_path, kimg=125), device="cpu")
    assert loaded.kimg == 125
    assert loaded.config == model.config
    assert loaded.device == torch.device("cpu")
    assert_close(loaded.images([0, 1]), model.images([0, 1]))


def test_a_run_directory_means_its_newest_snapshot(tmp_path: Path):
    for kimg in (2, 10, 9):
        save_tiny_snapshot(tmp_path, kimg=kimg)
    assert Model.load(tmp_path, "cpu").kimg == 10


# ---- defect 1: nothing comes from a global random stream


@pytest.mark.parametrize("noise_mode", NOISE_MODES)
def test_the_same_seed_gives_the_same_picture_on_every_call(model: Model, noise_mode: str):
    first = model.images([3, 4], noise_mode=noise_mode)
    assert not torch.equal(first[0], first[1])
    with torch.random.fork_rng(devices=[]):
        for seed in (0, 99):
            torch.manual_seed(seed)
            assert torch.equal(first, model.images([3, 4], noise_mode=noise_mode))


def test_global_streams_stay_where_they_are(model: Model):
    before = global_streams()
    model.layout([1, 2])
    for noise_mode in NOISE_MODES:
        model.images([1, 2], noise_mode=noise_mode)
    assert global_streams() == before


@pytest.mark.parametrize("noise_mode", NOISE_MODES)
def test_a_picture_does_not_depend_on_its_company(model: Model, noise_mode: str):
    together = model.images([5, 6, 7, 8, 9], noise_mode=noise_mode)
    assert_close(model.images([7], noise_mode=noise_mode), together[2:3])
    assert_close(model.images([9, 7, 5], noise_mode=noise_mode), together[[4, 2, 0]])
    assert_close(model.images([5, 6, 7, 8, 9], noise_mode=noise_mode, batch_size=2), together)


@pytest.mark.parametrize("sampler", ["paper", "released"])
def test_each_seed_has_its_own_layout(sampler: str):
    model = tiny_model(sampler=sampler)
    together = model.layout([1, 2, 3])
    assert_same_layout(together, concatenate([model.layout([seed]) for seed in (1, 2, 3)]))
    for values in (*together.centers, *together.spreads):
        assert not torch.equal(values[0], values[1])
    assert together.counts == (1, 2, 4)
    together.validate()


def test_seeds_differ_in_latents_and_noise(model: Model):
    z = model.latents([0, 1, 2**32 - 1])
    assert z.shape == (3, 8)
    assert torch.pdist(z).min() > 0.1
    fixed = {"ws": model.styles([0]), "layout": model.layout([0]), "noise_mode": "random"}
    noisy = model.images([0, 1], **fixed)
    assert (noisy[0] - noisy[1]).abs().max() > 0.01


def test_noise_modes_differ(model: Model):
    const, random, none = (model.images([0], noise_mode=mode) for mode in NOISE_MODES)
    assert not torch.allclose(const, random)
    assert not torch.allclose(const, none)
    assert not torch.allclose(random, none)


# ---- passing things in


def test_what_is_passed_in_replaces_what_the_seed_gives(model: Model):
    seeds = [2, 5]
    expected = model.images(seeds)
    layout = model.layout(seeds)
    assert torch.equal(model.images(seeds, layout=layout), expected)
    assert torch.equal(model.images(z=model.latents(seeds), layout=layout), expected)
    assert torch.equal(model.images(ws=model.styles(seeds), layout=layout), expected)
    assert torch.equal(model.images(seeds, z=model.latents(seeds)), expected)


def test_one_layout_or_latent_serves_all_seeds(model: Model):
    layout = model.layout([1])
    assert torch.equal(model.images([1, 2, 3], layout=layout), model.images([1, 2, 3], layout=layout.repeat(3)))
    ws = model.styles([4])
    torch.testing.assert_close(model.images([1, 2, 3], ws=ws), model.images([1, 2, 3], ws=ws.repeat(3, 1, 1)))
    z = model.latents([4])
    assert torch.equal(model.images([1, 2], z=z), model.images([1, 2], z=z.repeat(2, 1)))


def test_numpy_seeds_are_seeds(model: Model):
    assert torch.equal(model.images(np.array([1, 2])), model.images(range(1, 3)))


def test_a_moved_centre_changes_the_picture_of_a_fixed_latent(model: Model):
    layout = model.layout([0])
    still, moved = model.images([0, 0], layout=concatenate([layout, layout.moved(0, 0, 0.4, 0.0)]))
    assert (still - moved).abs().max() > 1e-3


def test_results_are_plain_tensors_without_a_graph(model: Model):
    layout = model.layout([0])
    for result in (model.images([0]), model.styles([0]), *layout.centers, *layout.spreads):
        assert not result.requires_grad
        assert not result.is_inference()  # those could not be optimised, nor changed in place


def test_truncation_pulls_to_the_mean(model: Model):
    mean = model.G.mapping.w_avg
    ws = model.styles([1, 2])
    assert_close(model.styles([1, 2], truncation_psi=0)[:, 0], mean.expand(2, -1))
    assert_close(model.styles([1, 2], truncation_psi=0.5), torch.lerp(mean, ws, 0.5))
    cut = model.styles([1, 2], truncation_psi=0.5, truncation_cutoff=2)
    assert_close(cut[:, :2], torch.lerp(mean, ws[:, :2], 0.5))
    assert torch.equal(cut[:, 2:], ws[:, 2:])
    truncated = model.images([1, 2], truncation_psi=0.5, truncation_cutoff=2)
    assert torch.equal(truncated, model.images([1, 2], ws=cut))


def test_a_plain_model_has_no_layout(plain: Model):
    assert not plain.is_layout_conditioned
    assert plain.layout([0]) is None
    assert plain.images([0, 1]).shape == (2, 3, 16, 16)


def test_grey_images_have_one_channel():
    assert tiny_model(channels=1).images([0]).shape == (1, 1, 16, 16)


def test_labels_as_number_list_or_rows(conditional: Model):
    one_hot = torch.eye(3)
    two = conditional.images([0, 1], labels=[2, 2])
    assert torch.equal(two, conditional.images([0, 1], labels=2))
    assert torch.equal(two, conditional.images([0, 1], labels=torch.tensor([2, 2])))
    assert torch.equal(two, conditional.images([0, 1], labels=one_hot[[2]]))
    assert torch.equal(two, conditional.images([0, 1], labels=one_hot[[2, 2]]))
    assert not torch.allclose(two, conditional.images([0, 1], labels=[0, 1]))


# ---- bad input


def test_bad_labels(model: Model, conditional: Model):
    with pytest.raises(UserError, match="give a class from 0 to 2"):
        conditional.images([0])
    with pytest.raises(UserError, match="trained without labels"):
        model.images([0], labels=[0])
    for label in (3, -1, [0, 7]):
        with pytest.raises(UserError, match=r"class (3|-1|7) does not exist; this model has the classes 0 to 2"):
            conditional.images([0, 1], labels=label)
    with pytest.raises(UserError, match="3 labels for 2 pictures"):
        conditional.images([0, 1], labels=[0, 1, 2])
    with pytest.raises(UserError, match=r"labels must have the shape \[N, 3\] for this model, not \[1, 4\]"):
        conditional.images([0], labels=torch.zeros(1, 4))


def test_bad_layouts(model: Model, plain: Model):
    with pytest.raises(UserError, match=r"method stylegan2\) takes no layout"):
        plain.images([0], layout=model.layout([0]))
    with pytest.raises(UserError, match="2 layouts for 3 pictures"):
        model.images([0, 1, 2], layout=model.layout([0, 1]))
    with pytest.raises(UserError, match="made for another method"):
        model.images([0], layout=tiny_model(counts=(1, 1, 1)).layout([0]))
    with pytest.raises(UserError, match="needs a layout"):
        model.images(ws=model.styles([0]))


def test_bad_latents(model: Model):
    with pytest.raises(UserError, match=r"z must have the shape \[N, 8\] for this model, not \[2, 9\]"):
        model.images(z=torch.zeros(2, 9))
    with pytest.raises(UserError, match=r"ws must have the shape \[N, 6, 8\]"):
        model.images([0], ws=torch.zeros(1, 5, 8))
    with pytest.raises(UserError, match="2 latents for 3 pictures"):
        model.images([0, 1, 2], z=torch.zeros(2, 8))
    for extra in ({"truncation_psi": 0.5}, {"labels": [0]}, {"z": torch.zeros(1, 8)}):
        with pytest.raises(UserError, match="cannot be combined"):
            model.images([0], ws=model.styles([0]), **extra)


@pytest.mark.parametrize("seeds", [None, []])
def test_no_seeds(model: Model, seeds):
    with pytest.raises(UserError, match="give seeds"):
        model.images(seeds)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_impossible_seeds(model: Model, seed: int):
    for call in (model.images, model.layout, model.latents):
        with pytest.raises(UserError, match=f"seed {seed} is outside 0 to 4294967295"):
            call([seed])


def test_bad_noise(model: Model):
    with pytest.raises(UserError, match="unknown noise mode 'loud'; use const, random, none"):
        model.images([0], noise_mode="loud")
    with pytest.raises(UserError, match="random noise is drawn by seed"):
        model.images(ws=model.styles([0]), layout=model.layout([0]), noise_mode="random")


def test_truncation_without_a_mean():
    with pytest.raises(UserError, match="without a mean style"):
        tiny_model(w_avg_beta=None).images([0], truncation_psi=0.5)


def test_nothing_to_load(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        Model.load(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="no network-snapshot"):
        Model.load(tmp_path)
    with pytest.raises(UserError, match="no weights 'D'"):
        Model.load(save_tiny_snapshot(tmp_path), "cpu", weights="D")


def test_a_truncated_checkpoint(tmp_path: Path):
    path = save_tiny_snapshot(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="perhaps cut short"):
        Model.load(path, "cpu")



def test_precision_of_the_synthesis_network(tmp_path: Path):
    path = save_tiny_snapshot(tmp_path)
    exact = Model.load(path, "cpu").images([0, 1])
    assert torch.equal(Model.load(path, "cpu", precision="float32").images([0, 1]), exact)
    coarse = Model.load(path, "cpu", precision="bfloat16").images([0, 1])
    assert not torch.equal(coarse, exact)
    torch.testing.assert_close(coarse, exact, rtol=0, atol=0.1 * exact.abs().max().item())
    with pytest.raises(UserError, match="no precision 'int8'; use trained, float32"):
        Model.load(path, "cpu", precision="int8")
    with pytest.raises(UserError, match="float16 is for a GPU"):
        Model.load(path, "cpu", precision="float16")


@pytest.mark.gpu
def test_cuda_draws_the_same_pictures(model: Model):
    fast = Model(tiny_generator(model.config), model.config, "cuda")
    assert torch.equal(fast.latents([0, 1]).cpu(), model.latents([0, 1]))
    assert_same_layout(fast.layout([0, 1]).to("cpu"), model.layout([0, 1]))
    images = fast.images([0, 1], layout=model.layout([0, 1]))
    assert images.device.type == "cuda"
    torch.testing.assert_close(images.cpu(), model.images([0, 1]), rtol=1e-2, atol=2e-2)
    assert torch.equal(*(fast.images([0, 1], noise_mode="random") for _ in range(2)))


# ---- scenes of several objects


@pytest.fixture(scope="module")
def scene() -> Model:
    return tiny_model("spatialgan-indoor")


def test_scenes_have_a_code_for_each_object_and_the_background(scene: Model):
    z = scene.latents([3, 4])
    assert z.shape == (2, 4, 8)
    assert torch.equal(z[1:], scene.latents([4]))
    assert scene.layout([3]).counts == (3,)
    assert scene.styles([3, 4]).shape == (2, scene.G.num_ws, 4, 8)
    assert_close(scene.images([3, 4])[1:], scene.images([4]))


def test_scenes_can_be_given_as_z_or_ws(scene: Model):
    layout = scene.layout([3])
    expected = scene.images([3])
    assert_close(scene.images(z=scene.latents([3]), layout=layout), expected)
    assert_close(scene.images(ws=scene.styles([3]), layout=layout), expected)
    with pytest.raises(UserError, match=r"z must have the shape \[N, 4, 8\] for this model, not \[1, 8\]"):
        scene.images(z=torch.zeros(1, 8), layout=layout)
    with pytest.raises(UserError, match=r"ws must have the shape \[N, 6, 4, 8\] for this model"):
        scene.images(ws=torch.zeros(1, 6, 8), layout=layout)


def test_objects_are_moved_removed_and_restyled(scene: Model):
    layout, before = scene.layout([3]), scene.images([3])
    for changed in (layout.moved(0, 1, 0.2, 0.2), layout.with_strength(0, 1, 0.0), layout.with_spread(0, 1, 2.0)):
        assert not torch.allclose(scene.images([3], layout=changed), before)
    z = scene.latents([3])
    z[:, 1] = scene.latents([8])[:, 1]
    assert not torch.allclose(scene.images(z=z, layout=layout), before)
    gone = layout.with_strength(0, 1, 0.0)
    assert_close(scene.images(z=z, layout=gone), scene.images([3], layout=gone))


def test_layouts_of_single_objects_are_refused(scene: Model, model: Model):
    message = "layout has 1/2/4 centres at levels 0 to 2, but this model takes 3 centres at level 0"
    with pytest.raises(UserError, match=message):
        scene.images([3], layout=model.layout([3]))


# ---- a layout that is a part of the latent


def test_flattened_layouts_reach_the_picture_through_the_styles():
    config = tiny_config(counts=(1, 2, 4))
    encoding = config.generator.encoding.model_copy(update={"layer": "flatten"})
    config = config.model_copy(update={"generator": config.generator.model_copy(update={"encoding": encoding})})
    flat = Model(tiny_generator(config), config, "cpu")
    layout = flat.layout([3])
    assert_close(flat.images([3], layout=layout), flat.images([3]))
    assert_close(flat.images(ws=flat.styles([3], layout=layout), layout=layout), flat.images([3]))
    assert not torch.allclose(flat.images([3], layout=layout.moved(0, 0, 0.3, 0.3)), flat.images([3]))
    assert flat.G.mapping.z_dim == 8 + 336


# ---- features


def test_block_outputs_are_those_of_all_batches():
    model, outputs = tiny_model(), {}
    images = model.images([0, 1, 2], batch_size=2, block_outputs=outputs)
    assert {r: tuple(x.shape[2:]) for r, x in outputs.items()} == {4: (4, 4), 8: (8, 8), 16: (16, 16)}
    assert all(len(x) == 3 and x.dtype == torch.float32 for x in outputs.values())
    alone = {}
    torch.testing.assert_close(model.images([2], block_outputs=alone), images[2:])
    torch.testing.assert_close(alone[8], outputs[8][2:])


def test_to_uint8_cuts_off_as_is_the_convention():
    values = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 0.9999, 1.0, 3.0])
    assert to_uint8(values).tolist() == [0, 0, 64, 128, 191, 255, 255, 255]
    assert to_uint8(values).dtype == torch.uint8


def test_latents_of_a_seed_do_not_depend_on_the_batch():
    z = latents([4, 9, 4], 6)
    assert z.shape == (3, 6)
    assert torch.equal(z[0], z[2])
    assert torch.equal(z[1:2], latents([9], 6))
    assert not torch.equal(z[0], z[1])


def test_codes_of_a_scene_depend_on_seed_and_object_only():
    few, many = object_latents([4, 5], 2, 8), object_latents([5], 6, 8)
    assert few.shape == (2, 3, 8)
    assert torch.equal(few[1, :2], many[0, :2])
    assert torch.equal(few[1, 2], many[0, 6])  # the background's
    assert torch.pdist(torch.cat([few[0], many[0]])).min() > 0.1
