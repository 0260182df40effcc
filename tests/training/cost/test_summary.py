"""What a configuration takes, against networks that are really there."""

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from dnnlib.errors import UserError
from tests.training.small import (
    discriminator_config,
    generator_config,
    global_streams,
    make_batch,
    make_discriminator,
    make_generator,
    make_networks,
    run_config,
)
from torch_utils import ops
from torch_utils.randomness import RandomStreams
from training.cost import summary as cost
from training.losses.phases import make_phases

CONFIG = run_config(loss={"style_mixing_prob": 0.5})


@pytest.fixture(autouse=True)
def countable_operators():
    """PyTorch's counter knows no formulas for ours."""
    with ops.use("pytorch"):
        yield


@pytest.fixture(scope="module")
def small():
    return cost.summarize(CONFIG)


def test_parameters_by_part_are_those_of_the_networks(small):
    G, D = make_generator(), make_discriminator()
    assert sum(small.parameters["G"].values()) == sum(p.numel() for p in G.parameters())
    assert sum(small.parameters["D"].values()) == sum(p.numel() for p in D.parameters())
    assert small.parameters["G"]["mapping"] == sum(p.numel() for p in G.mapping.parameters())
    plain = make_generator(encoding=None)
    assert small.parameters["G"]["synthesis"] == sum(p.numel() for p in plain.synthesis.parameters())
    assert small.parameters["D"].keys() == {"blocks", "epilogue"}
    assert "spatial encoding" not in cost.count_parameters(plain)


def test_forward_flops_are_those_of_real_passes(small):
    networks = make_networks(CONFIG)
    batch = make_batch(networks, CONFIG)
    inputs = batch.inputs
    for name, forward in (
        ("G", lambda: networks.G(inputs.z, inputs.c, inputs.layout)),
        ("D", lambda: networks.D(batch.real_images, inputs.c)),
    ):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            forward()
        assert small.flops[name] == counter.get_total_flops() / 4
        assert small.flops[name] > 1e5


def test_the_other_backbone_is_counted_as_it_is():
    shape = {"backbone": "sndcgan"}
    config = run_config(
        generator=generator_config(**shape), discriminator=discriminator_config(**shape), loss={"pl_weight": 0}
    )
    networks, found = make_networks(config), cost.summarize(config)
    inputs = make_batch(networks, config).inputs
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        networks.G(inputs.z, inputs.c, inputs.layout)
    assert found.flops["G"] == counter.get_total_flops() / 4
    for name in ("G", "D"):
        assert sum(found.parameters[name].values()) == sum(p.numel() for p in getattr(networks, name).parameters())
    assert found.half_from is None


@pytest.mark.parametrize("name", ["G_main", "G_path", "D_main"])
def test_a_phase_costs_what_it_costs_on_real_tensors(small, name):
    """D_r1 is left out because FlopCounterMode cannot follow it."""
    phase = next(phase for phase in make_phases(CONFIG) if phase.name == name)
    networks = make_networks(CONFIG)
    networks.G.requires_grad_(phase.trained == "G")
    networks.D.requires_grad_(phase.trained == "D")
    batch, saved = make_batch(networks, CONFIG), {}
    batch = replace(batch, inputs=batch.inputs[: phase.generated(4)])
    owned = {t.untyped_storage().data_ptr() for t in (*networks.G.parameters(), *networks.D.parameters())}
    owned |= {t.untyped_storage().data_ptr() for t in (*networks.G.buffers(), *networks.D.buffers())}

    def note(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor  # kept alive, so that no address is used twice
        return tensor.detach()

    with FlopCounterMode(display=False) as counter:
        with saved_tensors_hooks(note, lambda tensor: tensor):
            loss, _ = phase.loss(networks, batch, CONFIG, RandomStreams(0, "cpu"))
        loss.backward()
    cost = small.phases[name]
    assert (cost.flops, cost.interval) == (counter.get_total_flops(), phase.interval)
    kept = sum(tensor.untyped_storage().nbytes() for address, tensor in saved.items() if address not in owned)
    assert cost.kept == pytest.approx(kept, rel=0.01)


def test_r1_takes_more_than_a_pass_forward_and_back(small):
    """The gradient with respect to the images, and then that of its norm."""
    assert small.phases["D_r1"].flops > 4 * 3 * small.flops["D"]


def test_a_step_counts_lazy_phases_as_often_as_they_run(small):
    cost = {name: phase.flops for name, phase in small.phases.items()}
    expected = cost["G_main"] + cost["G_path"] / 4 + cost["D_main"] + cost["D_r1"] / 16
    assert small.flops["iteration"] == pytest.approx(expected / 4)


def test_memory_besides_activations(small):
    G, D = (sum(small.parameters[name].values()) * 4 for name in ("G", "D"))
    buffers = sum(b.numel() * b.element_size() for n in (make_generator(), make_discriminator()) for b in n.buffers())
    assert small.memory["weights of G and D"] == G + D + buffers
    assert (small.memory["gradients"], small.memory["moments of Adam"]) == (max(G, D), 2 * (G + D))
    assert small.memory["moving average of G"] > G
    largest = max(phase.kept for phase in small.phases.values())
    assert small.total_memory == (sum(small.memory.values()) + largest,) * 2


def test_half_precision_saves_memory_on_a_gpu_only():
    half = run_config(
        generator=generator_config(synthesis={"num_fp16_res": 2}),
        discriminator=discriminator_config(num_fp16_res=2),
    )
    made = cost.summarize(half)
    assert made.half_from == 16
    on_gpu, on_cpu = made.total_memory
    assert on_gpu < on_cpu == cost.summarize(run_config()).total_memory[1]


def test_memory_follows_the_images_of_a_pass_not_of_a_step(small):
    twice = cost.summarize(run_config(schedule={"batch_size": 8}))
    in_passes = cost.summarize(CONFIG.model_copy(update={"schedule": CONFIG.schedule.model_copy(
        update={"batch_size": 8, "batch_gpu": 4})}))
    assert (twice.images_per_pass, in_passes.images_per_pass) == (8, 4)
    assert twice.phases["D_main"].kept > 1.5 * small.phases["D_main"].kept
    assert in_passes.total_memory == small.total_memory


def test_the_global_random_streams_are_left_alone():
    before = global_streams()
    cost.summarize(CONFIG)
    assert global_streams() == before


def test_table(small):
    text = cost.table(small)
    total = sum(small.parameters["G"].values())
    assert f"{total:,}" in text
    assert "G_path every 4, D_r1 every 16" in text
    assert max(map(len, text.splitlines())) <= 110


def test_sizes_that_configurations_are_for():
    assert cost.assumed_facts("paper256").resolution == 256
    with pytest.raises(UserError, match=r"--data is missing.*not of --cfg=auto"):
        cost.assumed_facts("auto")
