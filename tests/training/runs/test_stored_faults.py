"""Damaged and hostile snapshots and checkpoints: one line or a success, within bounded memory and time."""

import json
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dnnlib.errors import UserError
from metrics.networks import open_network
from tests.mutations import COUNT, chances, survives
from tests.training import mutations
from tests.training.runs.test_snapshot import networks
from tests.training.saved import save_checkpoint, save_snapshot
from tests.training.small import make_networks, run_config
from torch_utils.distributed import World
from torch_utils.tensor_files import CHECKSUMS, open_tensors, write_tensors
from training.config import RunConfig
from training.runs.checkpoint import checkpoint_path
from training.runs.snapshot import open_snapshot, snapshot_name
from training.state import TrainingState

SLOWEST = 10.0  # seconds of computing for one file
GROWTH = 512 << 20  # bytes of memory that all of them may take, in addition
SETTINGS = {"loss": {"style_mixing_prob": 0.9}}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / snapshot_name(1)
    save_snapshot(path, run_config(**SETTINGS), 1, networks(run_config(**SETTINGS)))
    return path.read_bytes()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> bytes:
    path = checkpoint_path(tmp_path_factory.mktemp("whole"), 0)
    save_checkpoint(path, run_config(**SETTINGS), stepped())
    return path.read_bytes()


def stepped() -> TrainingState:
    """A state with moments, random streams and statistics."""
    state = TrainingState.create(run_config(**SETTINGS), World())
    for name, network in (("G", state.networks.G), ("D", state.networks.D)):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, 0.1)
        state.optimizers[name].step()
    torch.randn(4, generator=state.streams["latent"])
    torch.randn(4, generator=state.common["labels"])
    state.statistics.add("loss/G", torch.ones(3))
    state.images, state.steps = 4, 1
    return state


def use_snapshot(path: Path) -> None:
    """What generate.py and the metrics do with a file."""
    opened = open_network(str(path))
    assert isinstance(opened.config, RunConfig)
    opened.generator()
    opened.discriminator()


def use_checkpoint(path: Path) -> None:
    """What a run does with its checkpoint."""
    state = fresh_state()
    before = state.networks.G.mapping.layers[0].weight.clone()
    try:
        state.load(path)
    except UserError:
        assert torch.equal(state.networks.G.mapping.layers[0].weight, before), "half loaded"
        assert (state.images, state.steps, state.remarks) == (0, 0, [])
        raise
    fresh_state.cache_clear()


@cache
def fresh_state() -> TrainingState:
    """One into which nothing has been loaded yet: a refusal leaves it as it is."""
    return TrainingState.create(run_config(**SETTINGS), World())


USES = {"snapshot": use_snapshot, "checkpoint": use_checkpoint, "network in a checkpoint": use_snapshot}


@pytest.mark.slow
@pytest.mark.parametrize("mutate", [mutations.mutated_bytes, mutations.mutated_structure])
@pytest.mark.parametrize("what", USES)
def test_damaged_files_are_refused_in_one_line(what: str, mutate, request, tmp_path: Path):
    data = request.getfixturevalue("snapshot" if what == "snapshot" else "checkpoint")
    path = tmp_path / (snapshot_name(1) if what == "snapshot" else checkpoint_path(tmp_path, 4).name)
    USES[what](mutations.write(path, data))
    taken, said = survives(path, USES[what], (mutate(data, chance) for chance in chances(5)), GROWTH)
    assert taken + len(said) == COUNT
    assert len(said) > COUNT / 4
    assert [line for line in said if not line.startswith(str(path))] == []


# ---- what was seen, one by one


@pytest.fixture
def saved(tmp_path: Path, snapshot: bytes) -> Path:
    return mutations.write(tmp_path / snapshot_name(1), snapshot)


def rewritten(path: Path, *, tensors: dict | None = None, about: dict | None = None) -> Path:
    """The file with some tensors or entries of its description exchanged, and without checksums."""
    opened = open_tensors(path)
    (entry,) = [key for key in opened.metadata if key != CHECKSUMS]
    described = json.loads(opened.metadata[entry])
    for key, value in (about or {}).items():
        *parents, last = key.split(".")
        section = described
        for parent in parents:
            section = section[parent]
        section[last] = value
    save_file({**load_file(path), **(tensors or {})}, path, {entry: json.dumps(described)})
    return path


def refusal(path: Path, use=use_snapshot) -> str:
    with pytest.raises(UserError) as caught:
        use(path)
    return str(caught.value)


def test_files_from_before_there_were_checksums_load(saved: Path):
    weights = load_file(saved)
    assert CHECKSUMS in open_tensors(saved).metadata
    assert CHECKSUMS not in open_tensors(rewritten(saved)).metadata
    use_snapshot(saved)
    loaded = open_network(str(saved)).generator().state_dict()
    assert all(torch.equal(tensor, weights[f"G_ema.{name}"]) for name, tensor in loaded.items())


def test_a_flipped_bit_in_the_weights_is_noticed(saved: Path):
    data = bytearray(saved.read_bytes())
    data[-5] ^= 1
    saved.write_bytes(data)
    assert "damaged, the checksum of " in refusal(saved)


def test_a_flipped_bit_in_the_description_is_noticed(saved: Path):
    saved.write_bytes(saved.read_bytes().replace(b'\\"seed\\": 0', b'\\"seed\\": 8'))
    assert "damaged, the checksum of its metadata is wrong" in refusal(saved)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(saved: Path, value: float):
    name = "G_ema.mapping.layers.0.weight"
    weight = load_file(saved)[name]
    weight[0, 0] = value
    line = refusal(rewritten(saved, tensors={name: weight}))
    assert "the weights of G_ema are not finite numbers (NaN or Inf in 1 tensor, first mapping.layers.0" in line


@pytest.mark.parametrize(
    "key, value",
    [
        ("generator.w_dim", 2**16),
        ("generator.z_dim", 2**16),
        ("generator.img_resolution", 256),
        ("generator.mapping.num_layers", 256),
        ("generator.synthesis.channel_max", 2**16),
        ("generator.encoding.counts", [256, 2, 4]),
        ("generator.encoding.hidden_channels", 2**16),
    ],
)
def test_sizes_are_compared_with_the_tensors_before_anything_is_made(saved: Path, key: str, value):
    both = {key: value}
    if key.endswith("img_resolution"):
        both["discriminator.img_resolution"] = value
    changed, start = {f"config.{name}": each for name, each in both.items()}, time.process_time()
    if key.endswith("channel_max"):
        changed["config.generator.synthesis.channel_base"] = 2**24
    line = refusal(rewritten(saved, about=changed))
    assert "the weights of G_ema do not fit its configuration (" in line
    assert time.process_time() - start < SLOWEST


@pytest.mark.parametrize(
    "key, value", [("generator.w_dim", 10**9), ("generator.z_dim", 2**62), ("generator.encoding.dilation", 10**9)]
)
def test_sizes_that_no_network_has_are_refused(saved: Path, key: str, value):
    line = refusal(rewritten(saved, about={f"config.{key}": value}))
    assert f"its configuration is not understood: {key}: Input should be less than or equal to" in line


def test_a_checkpoint_is_read_where_a_snapshot_is_expected(tmp_path: Path, checkpoint: bytes):
    path = mutations.write(checkpoint_path(tmp_path, 4), checkpoint)
    opened = open_snapshot(path)
    assert opened.kimg == 0.004
    assert torch.equal(opened.generator("G").mapping.w_avg, stepped().networks.G.mapping.w_avg)


@pytest.mark.parametrize(
    "name, value, says",
    [
        ("stream.0.latent", torch.zeros(7, dtype=torch.uint8), "the random stream 0.latent is uint8 [7]"),
        ("stream.0.latent", torch.full([5056], 255, dtype=torch.uint8), "0.latent is no state of a generator"),
        ("optimizer.G.0.exp_avg", torch.zeros(3), "the moments of G do not fit"),
        ("optimizer.G.99999.step", torch.zeros([]), "G has no parameter number 99999"),
        ("optimizer.D.0.exp_avg_sq", torch.full([8, 3, 1, 1], -1.0), "has numbers below 0"),
        ("pl_mean", torch.tensor(float("nan")), "not finite"),
        ("pl_mean", torch.zeros(2), "the running means"),
        ("statistics.loss/G", torch.zeros(2, dtype=torch.float64), "the statistics"),
        ("G.mapping.w_avg", torch.zeros(8, dtype=torch.float64), "w_avg is float64 [8], not float32 [8]"),
        ("nonsense", torch.zeros(1), "a tensor of an unknown name, nonsense"),
    ],
)
def test_parts_of_a_checkpoint_that_do_not_fit_are_named(tmp_path: Path, checkpoint: bytes, name, value, says):
    path = mutations.write(checkpoint_path(tmp_path, 4), checkpoint)
    assert says in refusal(rewritten(path, tensors={name: value}), use_checkpoint)


@pytest.mark.parametrize(
    "key, value",
    [("steps", None), ("steps", -1), ("images", 2**60), ("images", 1.5), ("seconds", {"training": -1}), ("seconds", 3)],
)
def test_counters_out_of_range_are_refused(tmp_path: Path, checkpoint: bytes, key: str, value):
    path = mutations.write(checkpoint_path(tmp_path, 4), checkpoint)
    assert "damaged checkpoint: its" in refusal(rewritten(path, about={key: value}), use_checkpoint)


def test_streams_of_another_kind_of_device_begin_anew(tmp_path: Path, checkpoint: bytes):
    """A run that has begun on a GPU goes on on a CPU."""
    path = mutations.write(checkpoint_path(tmp_path, 4), checkpoint)
    gpu = {name: torch.zeros(16, dtype=torch.uint8) for name in load_file(path) if name.startswith("stream.")}
    rewritten(path, tensors=gpu)
    state = TrainingState.create(run_config(**SETTINGS), World())
    state.load(path)
    assert state.remarks == ["the checkpoint is from another kind of device: random streams begin anew"]
    assert state.images == 4


def test_written_checksums_are_those_of_the_contents(tmp_path: Path):
    tensors = {"a": torch.arange(5.0), "b": torch.ones(3, 2, dtype=torch.bfloat16), "c": torch.zeros(0)}
    write_tensors(tmp_path / "x.safetensors", tensors, {"about": "é"})
    back = open_tensors(tmp_path / "x.safetensors").read()
    assert all(torch.equal(back[name], value) for name, value in tensors.items())
    assert load_file(tmp_path / "x.safetensors").keys() == tensors.keys()


def test_a_network_that_fits_is_made_as_before():
    config = run_config(**SETTINGS)
    state = TrainingState.create(config, World(), within=10**7)
    expected = make_networks(config).G
    assert sum(p.numel() for p in state.networks.G.parameters()) == sum(p.numel() for p in expected.parameters())
