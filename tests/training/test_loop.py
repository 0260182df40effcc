"""The training loop: what a run leaves behind, and that a continued run is the uninterrupted one."""

import errno
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dnnlib.errors import UserError
from metrics import in_training
from metrics.in_training import TrainingMetrics
from tests.training.data_samples import picture, write_zip
from tests.training.saved import save_checkpoint
from torch_utils.distributed import World
from training import loop, step
from training.augment.settings import AugmentConfig
from training.config import (
    DataConfig,
    DiscriminatorConfig,
    EncodingConfig,
    GeneratorConfig,
    HardwareConfig,
    LossConfig,
    MappingConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    SynthesisConfig,
)
from training.cost.hardware import prepare_hardware
from training.feed import label_drawer, open_dataset, real_batches
from training.losses.phases import make_phases
from training.pictures import grids
from training.runs.checkpoint import latest_checkpoint
from training.runs.log import NoLog
from training.runs.snapshot import open_snapshot
from training.runs.transfer import copy_matching
from training.state import TrainingState

BATCH = 8

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    files = {f"{number:02d}.png": picture(number, 32) for number in range(24)}
    return write_zip(tmp_path_factory.mktemp("data") / "noise.zip", files)


def configuration(data, kimg: float, method: str = "spatialgan", **changes) -> RunConfig:
    encoding = None if method == "stylegan2" else EncodingConfig()
    changes = {"augment": AugmentConfig(mode="ada", p=0.5, interval=2, kimg=0.1)} | changes
    return RunConfig(
        name="test",
        method=method,
        data=DataConfig(path=str(data), workers=0, mirror=True),
        generator=GeneratorConfig(
            z_dim=8,
            w_dim=8,
            img_resolution=32,
            mapping=MappingConfig(num_layers=2),
            synthesis=SynthesisConfig(channel_base=128, channel_max=8),
            encoding=encoding,
        ),
        discriminator=DiscriminatorConfig(img_resolution=32, channel_base=128, channel_max=8),
        loss=LossConfig(r1_gamma=0.1, style_mixing_prob=0.9),
        schedule=ScheduleConfig(
            batch_size=BATCH, batch_gpu=4, total_kimg=kimg, kimg_per_tick=0.016, snapshot_ticks=1, metrics=()
        ),
        **changes,
    )


def train(config: RunConfig, run_dir):
    run_dir.mkdir(exist_ok=True)
    loop.train(config, run_dir, TrainingMetrics())
    return run_dir


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A steerable run of 32 images."""
    return train(configuration(data, 0.032), tmp_path_factory.mktemp("run"))


def test_a_run_directory_has_all_its_files(finished):
    for name in ("config.json", "log.txt", "stats.jsonl", "reals.png", "network-snapshot-000000.safetensors"):
        assert (finished / name).is_file(), name
    for pattern in ("events.out.tfevents.*", "fakes*.png", "heatmaps*.png", "steer*.png", "checkpoint-*.safetensors"):
        assert list(finished.glob(pattern)), pattern
    assert not list(finished.glob(".*")), "temporary files left"


def test_the_saved_configuration_is_the_whole_one(finished, data):
    saved = RunConfig.model_validate_json((finished / "config.json").read_text())
    assert saved == configuration(data, 0.032)


def test_statistics_have_every_loss_and_the_score_extremes(finished):
    lines = [json.loads(line) for line in (finished / "stats.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.016, 0.032]
    wanted = {"loss/G", "loss/D", "loss/align", "loss/path_penalty", "loss/r1_penalty", "scores/real/min"}
    assert wanted | {"scores/fake/max", "signs/real", "speed/sec_per_kimg"} <= lines[0].keys()
    assert all(np.isfinite(list(line.values())).all() for line in lines)


@pytest.mark.parametrize("method", ["spatialgan", pytest.param("stylegan2", marks=pytest.mark.slow)])
def test_a_continued_run_is_bit_identical_to_an_uninterrupted_one(method, data, tmp_path):
    whole = train(configuration(data, 0.064, method), tmp_path / "whole")
    parts = train(configuration(data, 0.032, method), tmp_path / "parts")
    train(configuration(data, 0.064, method), parts)
    a, b = (load_file(latest_checkpoint(run)) for run in (whole, parts))
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert different == []
    assert (whole / "fakes000000.png").read_bytes() == (parts / "fakes000000.png").read_bytes()


ADA = AugmentConfig(mode="ada", p=0.4, target=0.6, interval=3, kimg=0.2)


def test_a_continued_run_has_the_p_of_an_uninterrupted_one(data, tmp_path):
    """It stops between two changes of p, with signs half collected."""
    whole = train(configuration(data, 0.064, "stylegan2", augment=ADA), tmp_path / "whole")
    parts = train(configuration(data, 0.032, "stylegan2", augment=ADA), tmp_path / "parts")
    train(configuration(data, 0.064, "stylegan2", augment=ADA), parts)
    a, b = (load_file(latest_checkpoint(run)) for run in (whole, parts))
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert {"augment.strength.p", "augment.strength.signs", "stream.0.augment"} <= a.keys()
    assert a["augment.strength.signs"][1] == 2 * BATCH  # after 8 steps, 2 since the last change


def test_augmentation_may_change_between_checkpoint_and_continuation(data, tmp_path):
    """What the checkpoint does not have begins as configured; a fixed p is the configuration's."""
    run = train(configuration(data, 0.016, "stylegan2", augment=AugmentConfig()), tmp_path / "run")
    for augment, p in [(ADA, 0.4), (AugmentConfig(mode="fixed", p=0.3), 0.3), (AugmentConfig(), None)]:
        state = TrainingState.create(configuration(data, 0.032, "stylegan2", augment=augment), World())
        state.load(latest_checkpoint(run))
        found = state.networks.augment
        assert (None if found is None else found.strength.p.item()) == (None if p is None else pytest.approx(p))
        save_checkpoint(latest_checkpoint(run), configuration(data, 0.016, "stylegan2", augment=augment), state)


def test_p_follows_the_signs_every_few_steps(data, tmp_path):
    run = train(configuration(data, 0.064, "stylegan2", augment=ADA), tmp_path / "run")
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    seen = [line["augment/p"] for line in lines if "augment/p" in line]
    step = BATCH * 3 / 200
    assert len(seen) == 2
    assert abs(seen[0] - 0.4) == pytest.approx(step, abs=1e-6)
    assert abs(seen[1] - seen[0]) == pytest.approx(step, abs=1e-6)


def test_a_fixed_p_stays(data, tmp_path):
    augment = AugmentConfig(mode="fixed", p=0.3, interval=1)
    run = train(configuration(data, 0.032, augment=augment), tmp_path / "run")
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    assert [line["augment/p"] for line in lines] == pytest.approx([0.3, 0.3])


@pytest.mark.slow
def test_only_the_newest_checkpoints_are_kept(data, tmp_path):
    run = train(configuration(data, 0.080), tmp_path / "run")
    kept = sorted(path.name for path in run.glob("checkpoint-*"))
    assert kept == ["checkpoint-0000000064.safetensors", "checkpoint-0000000080.safetensors"]


def test_a_damaged_newest_checkpoint_is_passed_over(finished, data, tmp_path):
    run = train(configuration(data, 0.032), tmp_path / "run")
    newest = run / "checkpoint-0000000032.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert latest_checkpoint(run).name == "checkpoint-0000000016.safetensors"


def test_a_batch_in_two_passes_is_seen_whole(data):
    """Two passes of 4 report all 8 scores and end in one step of D."""
    config = configuration(data, 1.0, "stylegan2")
    state = TrainingState.create(config, World())
    before = state.networks.D.epilogue.out.weight.detach().clone()
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    phase = next(p for p in make_phases(config) if p.name == "D_main")
    batches = step.micro_batches(phase, config, state, images, torch.zeros(8, 0), lambda n: torch.zeros(n, 0))
    assert [len(batch.real_images) for batch in batches] == [4, 4]
    assert step.run_phase(phase, config, state, batches)
    assert state.statistics.report()["scores/real"].count == 8
    assert not torch.equal(before, state.networks.D.epilogue.out.weight)


def test_the_average_follows_the_schedule(data):
    """Karras et al. 2020: G_ema <- beta G_ema + (1 - beta) G with a half-life in images; at 0 images beta is 0."""
    config = configuration(data, 1.0)
    state = TrainingState.create(config, World())
    with torch.no_grad():
        for parameter in state.networks.G.parameters():
            parameter.add_(1.0)
    step.update_ema(config, state)
    assert torch.equal(state.G_ema.mapping.layers[0].weight, state.networks.G.mapping.layers[0].weight)
    state.images = 1000  # half-life 50 images: 8 of them are 0.16 half-lives
    with torch.no_grad():
        for parameter in state.networks.G.parameters():
            parameter.add_(1.0)
    old = state.G_ema.mapping.layers[0].weight.clone()
    step.update_ema(config, state)
    moved = (state.G_ema.mapping.layers[0].weight - old).mean().item()
    assert moved == pytest.approx(1 - 0.5 ** (BATCH / 50), abs=1e-5)


def test_learning_rates_fall_over_the_last_images(data):
    config = configuration(data, 1.0, generator_optimizer=OptimizerConfig(lr=0.004, reg_interval=4, encoding_lr=0.5))
    config = with_cooldown(config, 0.4)
    state = TrainingState.create(config, World())
    first = {name: [g["lr"] for g in optimizer.param_groups] for name, optimizer in state.optimizers.items()}
    assert set(first["G"]) == {0.004 * 4 / 5, 0.004 * 4 / 5 * 0.5}
    for images, share in ((0, 1), (600, 1), (700, 0.75), (992, 0.02), (1000, 0), (0, 1)):
        state.images = images
        step.cool_down(config, state)
        for name, optimizer in state.optimizers.items():
            assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([share * lr for lr in first[name]])


def test_a_step_learns_at_the_rate_of_its_turn(data, tmp_path):
    """With a cooldown over both of two steps, the second one of G, which learns first, is half as long."""
    runs = {"one step": (0.008, 0), "two": (0.016, 0), "cooled": (0.016, 1)}
    after = {}
    for name, (kimg, cooldown) in runs.items():
        run = train(with_cooldown(configuration(data, kimg), cooldown), tmp_path / name.replace(" ", ""))
        after[name] = load_file(latest_checkpoint(run))["G.mapping.layers.0.weight"]
    whole, half = after["two"] - after["one step"], after["cooled"] - after["one step"]
    assert whole.abs().mean() > 1e-4
    torch.testing.assert_close(half, whole / 2, rtol=0.01, atol=2e-5)  # weights are of about 100


def with_cooldown(config: RunConfig, share: float) -> RunConfig:
    return config.model_copy(update={"schedule": config.schedule.model_copy(update={"cooldown": share})})


def test_frozen_layers_keep_their_weights(data, tmp_path):
    config = configuration(data, 0.016)
    config = config.model_copy(
        update={"discriminator": config.discriminator.model_copy(update={"freeze_layers": 2})}
    )
    start = TrainingState.create(config, World()).networks.D
    run = train(config, tmp_path / "run")
    trained = open_snapshot(run).discriminator()
    assert torch.equal(start.blocks["32"].from_rgb.weight, trained.blocks["32"].from_rgb.weight)
    assert torch.equal(start.blocks["32"].conv0.weight, trained.blocks["32"].conv0.weight)
    assert not torch.equal(start.blocks["32"].conv1.weight, trained.blocks["32"].conv1.weight)


def test_resume_starts_from_a_snapshots_weights(finished, data):
    snapshot = finished / "network-snapshot-000000.safetensors"
    state = TrainingState.create(configuration(data, 1.0, resume=str(snapshot)), World())
    source = open_snapshot(snapshot)
    assert state.images == 0
    for name, tensor in source.generator("G").state_dict().items():
        assert torch.equal(tensor, state.networks.G.state_dict()[name]), name


def test_resume_into_another_size_names_what_it_could_not_copy(finished, data):
    source = open_snapshot(finished).generator("G")
    config = configuration(data, 1.0)
    wider = config.generator.model_copy(update={"w_dim": 16})
    target = TrainingState.create(config.model_copy(update={"generator": wider}), World()).networks.G
    done = copy_matching(source, target)
    assert "mapping.w_avg" in done.new
    assert "mapping.w_avg" in done.left
    assert "synthesis.blocks.4.const" in done.taken


def test_a_checkpoint_of_other_networks_is_refused_in_one_line(finished, data):
    config = configuration(data, 1.0, "stylegan2")
    state = TrainingState.create(config, World())
    with pytest.raises(UserError, match="does not fit"):
        state.load(latest_checkpoint(finished))


def test_training_leaves_the_global_random_stream_alone(data, tmp_path):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(configuration(data, 0.016), tmp_path / "run")
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_best_checkpoint_outlives_the_newer_ones(data, tmp_path, monkeypatch):
    """By the first metric of quality: here its best value is that of the first of five snapshots."""
    run = run_with_metrics(data, tmp_path / "run", monkeypatch, ("di", "rfd6_full"), [0.5, 0.9, 0.8, 0.7, 0.6])
    kept = sorted(path.name for path in run.glob("checkpoint-*"))
    assert kept == [f"checkpoint-{images:010d}.safetensors" for images in (16, 64, 80)]
    assert "best: rfd6_full 0.5 at 0.016 kimg: network-snapshot-000000.016.safetensors" in (run / "log.txt").read_text()


def test_no_checkpoint_is_best_by_how_scores_lie(data, tmp_path, monkeypatch):
    """DI is nearest 0 before anything is learnt."""
    run = run_with_metrics(data, tmp_path / "run", monkeypatch, ("di", "w"), [0.0, 0.9, 0.8, 0.7, 0.6])
    assert not (run / "best.json").exists()
    assert "best:" not in (run / "log.txt").read_text()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 bytes"), "not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB."), "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device"),
        (OSError("encoder error -2"), "encoder error -2"),
    ],
)
def test_pictures_that_cannot_be_made_do_not_end_the_run(error, said, data, tmp_path, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise error

    caplog.set_level("INFO", "steergan")
    monkeypatch.setattr(grids, "save_training_samples", fail)
    run_dir = train(configuration(data, 0.032), tmp_path / "run")
    assert latest_checkpoint(run_dir).name == "checkpoint-0000000032.safetensors"
    lines = [line for line in caplog.messages if line.startswith("no sample pictures: ")]
    assert len(lines) == 3  # at the beginning, and at each of two snapshots
    assert all(said in line and line.endswith("; training goes on") for line in lines)


def test_a_fault_of_the_program_in_pictures_is_not_hidden(data, tmp_path, monkeypatch):
    monkeypatch.setattr(grids, "save_training_samples", lambda *args: torch.zeros(2) + torch.zeros(3))
    with pytest.raises(RuntimeError, match="must match the size"):
        train(configuration(data, 0.032), tmp_path / "run")


def test_a_metrics_result_that_cannot_be_written_does_not_end_the_run(data, tmp_path, monkeypatch):
    def refuse(run_dir, result):
        raise UserError("cannot write metric-rfd6_full.jsonl: No space left on device")

    monkeypatch.setattr(in_training, "append_result", refuse)
    run = run_with_metrics(data, tmp_path / "run", monkeypatch, ("rfd6_full",), [0.5, 0.9, 0.8, 0.7, 0.6])
    log = (run / "log.txt").read_text()
    assert "the result of rfd6_full is not kept: cannot write metric-rfd6_full.jsonl: No space left" in log
    assert "finished at 0.08 of 0.08 kimg" in log


def run_with_metrics(data, path, monkeypatch, metrics, values):
    """Five snapshots at which each of these metrics has the next of these values."""
    values = {name: iter(values) for name in metrics}
    monkeypatch.setattr(
        in_training, "evaluate", lambda name, context: {"metric": name, "results": {name: next(values[name])}}
    )
    config = configuration(data, 0.080, "stylegan2")
    config = config.model_copy(update={"schedule": config.schedule.model_copy(update={"metrics": metrics})})
    return train(config, path)


@pytest.mark.slow
def test_compiling_changes_nothing_but_speed(data):
    """The gradients of D main, which is the phase that compiles, agree with those of the eager D."""
    found = []
    for mode in ("no", "default"):
        config = configuration(data, 1.0, "stylegan2", hardware=HardwareConfig(device="cpu", compile=mode))
        state = TrainingState.create(config, World())
        images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        phase = next(p for p in make_phases(config) if p.uses_compiled_D)
        batches = step.micro_batches(phase, config, state, images, torch.zeros(8, 0), lambda n: torch.zeros(n, 0))
        optimizer = state.optimizers["D"]
        optimizer.step = lambda optimizer=optimizer: found.append(
            torch.cat([p.grad.flatten() for group in optimizer.param_groups for p in group["params"]])
        )
        assert step.run_phase(phase, config, state, batches)
    eager, compiled = found
    assert ((eager - compiled).norm() / eager.norm()).item() < 1e-5
    assert not torch.equal(eager, compiled), "nothing was compiled"


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["no", "default", "reduce-overhead"])
def test_nothing_in_a_step_waits_for_the_gpu(data, tmp_path, mode):
    """PyTorch raises an error at whatever synchronises; the first steps may, while they compile and allocate."""
    everything = {name: OptimizerConfig(reg_interval=1) for name in ("generator_optimizer", "discriminator_optimizer")}
    config = configuration(data, 1.0, **everything)
    if mode == "reduce-overhead":  # takes one pass only
        config = config.model_copy(update={"schedule": config.schedule.model_copy(update={"batch_gpu": BATCH})})
    config = config.model_copy(update={"hardware": HardwareConfig(device="cuda", compile=mode)})
    world = prepare_hardware(config, World())
    state, dataset = TrainingState.create(config, world), open_dataset(config)
    run = loop.Run(config, state, dataset, tmp_path, NoLog(), None)
    reals, draw_labels = real_batches(config, dataset, state), label_drawer(dataset, state)
    for _ in range(4):
        run.step(*next(reals), draw_labels)
    batch, before = next(reals), state.networks.D.epilogue.out.weight.clone()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.step(*batch, draw_labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    reals.close()
    assert [phase.name for phase in run.phases] == ["G_main", "G_path", "D_main", "D_r1"]
    assert not torch.equal(state.networks.D.epilogue.out.weight, before), "the step did nothing"
    assert run.guard.skipped == 0
