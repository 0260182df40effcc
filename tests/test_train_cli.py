"""The command line of train.py: its options, what it hands to the loop, and bad input in one line and status 2."""

import json
import os
import struct
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

import dataset_tool
import train
from dnnlib.errors import UserError
from tests.tiny_models import tiny_config, tiny_generator
from tests.training.data_samples import encoded, picture, write_folder, write_zip
from tests.training.networks.lineage import lineage_config
from tests.training.saved import save_checkpoint, save_snapshot
from tests.training.small import make_networks
from torch_utils.distributed import World
from training.config import HardwareConfig, RunConfig
from training.networks.discriminator import Discriminator
from training.presets import planning
from training.presets.options import Options
from training.presets.planning import check_hardware
from training.runs import directory as run_dir
from training.runs.checkpoint import checkpoint_path
from training.runs.snapshot import snapshot_name
from training.state import TrainingState

IMAGES = 4

FAMILY = {
    *("outdir", "data", "gpus", "cfg", "gamma", "kimg", "batch", "mirror", "cond", "subset", "seed", "snap", "metrics"),
    *("resume", "freezed", "fp32", "nhwc", "allow-tf32", "nobench", "workers", "aug", "p", "target", "augpipe"),
    "dry-run",
}
OURS = {"method", "sel", "sel-max-res", "heatmap-mode", "sampler", "align", "tau", "set", "device", "new", "procs"}
OURS |= {"bf16", "card", "compile", "continue", "keep", "log", "ops", "plugin"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return images(tmp_path)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunConfig, Path]]:
    """What the training loop was called with; nothing is trained."""
    calls: list[tuple[RunConfig, Path]] = []
    module = ModuleType("training.loop")
    module.train = lambda config, run_dir, metrics: calls.append((config, run_dir))
    monkeypatch.setitem(sys.modules, "training.loop", module)
    return calls


def images(folder: Path, name: str = "animals.zip", size: int = 32, labels: bool = False) -> Path:
    files = {f"{i}.png": picture(i, size) for i in range(IMAGES)}
    metadata = {"labels": [[file, i % 2] for i, file in enumerate(files)]} if labels else None
    return write_zip(folder / name, files, metadata)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(train.main, [str(argument) for argument in arguments])


def start(data: Path, *more: object) -> Result:
    """A small run into `runs` beside the data."""
    return call("--outdir", data.parent / "runs", "--data", data, "--cfg=demo", "--device=cpu", *more)


def assert_refused(result: Result, *texts: str, loop: list | None = None) -> None:
    """One line, status 2, nothing written, nothing trained."""
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    for text in texts:
        assert text in result.stderr
    assert not loop


# ---- the surface


def test_the_options_are_these():
    names = {name for option in train.main.params for name in option.opts}
    assert names == {f"--{name}" for name in FAMILY | OURS} | {"-n"}


def test_every_option_has_a_help_text():
    assert all(isinstance(option, click.Option) and option.help for option in train.main.params)
    result = call("--help")
    assert result.exit_code == 0
    for name in ("paper256", "spatialgan", "--sel-max-res"):
        assert name in result.output


# ---- running


def test_a_run_gets_its_directory_and_goes_to_the_loop(data: Path, loop: list):
    result = start(data, "--mirror=1", "--gamma=0.5", "--set", "loss.pl_weight=0.25", "--metrics=none")
    assert result.exit_code == 0, result.output
    ((config, path),) = loop
    assert path == data.parent / "runs" / "00000-animals-mirror-demo-spatialgan-gamma0.5"
    assert RunConfig.model_validate(json.loads((path / "config.json").read_text())) == config
    assert config.data.path == str(data)
    assert config.data.mirror is True
    assert (config.loss.r1_gamma, config.loss.pl_weight) == (0.5, 0.25)
    assert (config.generator.img_resolution, config.generator.img_channels, config.generator.c_dim) == (32, 3, 0)
    assert config.schedule.metrics == ()


@pytest.mark.parametrize(
    "options, layer, sampler, codes",
    [
        (["--sel=concat"], "concat", "released", 1),
        (["--sel=indoor"], "indoor", "multi-object", 4),
        (["--sel=flatten", "--sampler=noise"], "flatten", "noise", 1),
        (["--sampler=multi-object"], "norm", "multi-object", 1),
        (["--method=spatialgan-indoor"], "indoor", "multi-object", 4),
        (["--method=spatialgan-5-concat", "--align=0.5"], "concat", "released", 1),
        (["--cfg=sndcgan", "--sampler=impulse"], "norm", "impulse", 1),
    ],
)
def test_every_ablation_is_one_option_away(data: Path, loop: list, options: list, layer: str, sampler: str, codes: int):
    result = start(data, *options)
    assert result.exit_code == 0, result.output
    ((config, _),) = loop
    assert (config.generator.encoding.layer, config.sampler.kind) == (layer, sampler)
    assert config.generator.encoding.codes == codes


@pytest.mark.parametrize("yes", ["1", "true", "True", "yes"])
def test_booleans_as_the_family_writes_them(data: Path, loop: list, yes: str):
    assert start(data, f"--mirror={yes}", f"--fp32={yes}", f"--nobench={yes}", "--nhwc=0").exit_code == 0
    ((config, _),) = loop
    assert (config.data.mirror, config.hardware.benchmark, config.hardware.channels_last) == (True, False, False)


def test_the_same_command_goes_on_with_its_run(data: Path, loop: list):
    start(data)
    result = start(data)
    assert "going on with " in result.stdout
    assert start(data, "--seed=1").stdout == ""
    assert [path.name[:5] for _, path in loop] == ["00000", "00000", "00001"]
    assert call("--outdir", loop[0][1], "--data", data, "--cfg=demo", "--device=cpu").exit_code == 0
    assert loop[3] == loop[0]


def test_new_trains_the_same_again(data: Path, loop: list):
    start(data)
    start(data, "--new")
    assert [path.name[:5] for _, path in loop] == ["00000", "00001"]


def test_a_finished_run_is_not_trained_again(data: Path, loop: list):
    start(data)
    ((config, path),) = loop
    state = TrainingState.create(config, World())
    state.images = round(config.schedule.total_kimg * 1000)
    save_checkpoint(checkpoint_path(path, state.images), config, state)
    result = start(data)
    assert result.exit_code == 0
    assert result.stdout == f"{path} has these very settings and is finished; --new trains again\n"
    assert len(loop) == 1


@pytest.mark.parametrize("flag", ["--dry-run", "-n"])
def test_dry_run_prints_the_configuration_and_writes_nothing(data: Path, loop: list, flag: str):
    result = start(data, flag)
    assert result.exit_code == 0, result.output
    config = RunConfig.model_validate(yaml.safe_load(result.stdout))
    assert config.name == "animals-demo-spatialgan"
    expected = data.parent / "runs" / "00000-animals-demo-spatialgan"
    assert result.stdout.endswith(f"# run directory (new): {expected}\n")
    assert sorted(data.parent.iterdir()) == [data]
    assert loop == []


@pytest.mark.parametrize("more", [["--dry-run"], []])
@pytest.mark.usefixtures("no_summary")
def test_what_the_base_configuration_changes_of_the_method_is_said(data: Path, loop: list, more: list[str]):
    result = start(data, *more)
    (line,) = [each for each in result.stderr.splitlines() if each.startswith("--cfg=demo changes --method=spatialgan")]
    assert "sampler.kind released (otherwise paper)" in line
    assert "changes --method" not in start(data, "--method=stylegan2", *more).stderr


@pytest.mark.usefixtures("no_summary")
def test_a_run_too_short_for_growth_says_so(data: Path):
    growth = ["--method=progan", "--set", "growth.stable_kimg=2", "--set", "growth.fade_kimg=2"]
    (line,) = [each for each in start(data, *growth, "--kimg=5", "-n").stderr.splitlines() if "have grown" in each]
    assert line == (
        "after 5 kimg the networks have grown to 8x8 of 32x32 only: give more --kimg, or less growth.stable_kimg and "
        "growth.fade_kimg"
    )
    assert "have grown" not in start(data, *growth, "--kimg=12", "-n").stderr


@pytest.mark.usefixtures("no_summary")
def test_growth_that_begins_anew_is_said(data: Path, tmp_path: Path):
    of, snapshot = lineage_config("progan", None), tmp_path / snapshot_name(1)
    networks = make_networks(of)
    save_snapshot(snapshot, of, 1, {"G": networks.G, "G_ema": networks.G, "D": networks.D})
    result = start(data, "--method=progan", f"--resume={snapshot}", "-n")
    assert f"growth begins anew: {snapshot} goes on at 4x4\n" in result.stderr
    assert "growth begins anew" not in start(data, "--method=progan", "-n").stderr


@pytest.mark.usefixtures("no_summary")
def test_growth_goes_on_without_the_snapshot_that_it_began_from(data: Path, tmp_path: Path, loop: list):
    of, snapshot = lineage_config("progan", None), tmp_path / snapshot_name(1)
    networks = make_networks(of)
    save_snapshot(snapshot, of, 1, {"G": networks.G, "G_ema": networks.G, "D": networks.D})
    words = ["--method=progan", f"--resume={snapshot}"]
    assert start(data, *words).exit_code == 0
    assert "growth begins anew" not in start(data, *words).stderr
    snapshot.unlink()
    result = call("--resume", loop[0][1])
    assert result.exit_code == 0, result.output
    assert loop[2] == loop[0]


@pytest.mark.usefixtures("no_summary")
def test_few_pictures_of_label_maps_are_to_be_augmented_where_they_are(tmp_path: Path):
    words = ["toy", "--kind=playrooms", "--objects=2", "--masks", "--images=4", f"--dest={tmp_path / 'toys.zip'}"]
    assert CliRunner().invoke(dataset_tool.main, words).exit_code == 0
    assert "use --aug=ada --augpipe=color (docs" in start(tmp_path / "toys.zip", "--method=spade", "-n").stderr


def test_dry_run_says_which_run_would_go_on(data: Path, loop: list):
    start(data)
    result = start(data, "--dry-run")
    assert f"# run directory (started): {loop[0][1]}\n" in result.stdout
    assert len(loop) == 1


@pytest.mark.usefixtures("no_summary")
def test_dry_run_for_a_machine_with_more_gpus(data: Path):
    result = call("--outdir=runs", "--data", data, "--cfg=paper256", "--gpus=8", "--dry-run")
    assert result.exit_code == 0, result.output
    config = RunConfig.model_validate(yaml.safe_load(result.stdout))
    assert (config.hardware.gpus, config.schedule.batch_gpu) == (8, 8)


@pytest.mark.parametrize(("cfg", "side"), [("demo", 32), ("cifar", 32), ("paper256", 256)])
@pytest.mark.usefixtures("no_summary")
def test_dry_run_without_data_says_what_it_assumes(loop: list, cfg: str, side: int):
    result = call(f"--cfg={cfg}", "--dry-run")
    assert result.exit_code == 0, result.output
    config = RunConfig.model_validate(yaml.safe_load(result.stdout))
    assert config.generator.img_resolution == side
    assert f"# no --data: RGB images of {side}x{side} are assumed" in result.stdout
    assert loop == []


def test_dry_run_says_what_the_run_takes():
    """24.8 million parameters are StyleGAN2's at 256x256 with half the channels above 64x64."""
    result = call("--cfg=paper256", "--method=stylegan2", "--dry-run")
    totals = [line.split() for line in result.stdout.splitlines() if line.startswith("#   total")]
    assert [round(int(number.replace(",", "")) / 1e6, 1) for number in totals[0][2:]] == [24.8, 24.0]
    for text in ("memory of a training step in GiB", "activations", "G, forward", "a training step"):
        assert text in result.stdout


def test_dry_run_for_images_of_any_size_needs_the_data():
    assert_refused(call("--cfg=stylegan2", "--dry-run"), "--data is missing", "not of --cfg=stylegan2")
    assert_refused(call("--cfg=papper256", "--dry-run"), "--cfg 'papper256' is unknown; did you mean 'paper256'?")


def test_a_damaged_image_is_said_and_passed_over(tmp_path: Path, loop: list):
    files = {f"{i}.png": encoded(picture(i, 32)) for i in range(IMAGES)}
    path = write_zip(tmp_path / "a.zip", files | {"0.png": files["0.png"][:30]})
    result = start(path)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if "damaged" in line]
    assert f"{path}/0.png is damaged" in line
    assert len(loop) == 1


def test_labels_are_learnt_with_cond_and_mentioned_without(tmp_path: Path, loop: list):
    labelled = images(tmp_path, labels=True)
    said = f"{labelled} has labels, which are left aside without --cond=1\n"
    assert said not in start(labelled, "--cond=1").stderr
    assert said in start(labelled).stderr
    assert [config.generator.c_dim for config, _ in loop] == [2, 0]


# ---- what can be known at the start is said at the start


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.usefixtures("no_summary")
def test_few_images_are_said(data: Path, loop: list, more: list):
    lines = start(data, "--method=stylegan2", *more).stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "only 4 images",
        "metric di is left out",
        "metric w is left out",
    ]
    assert "--aug=ada" in lines[0]
    assert "it needs 64 real images, there are 4" in lines[1]
    assert start(data, "--method=stylegan2", *more, "--aug=ada", "--metrics=none").stderr == ""


def test_mirrored_images_count(tmp_path: Path, loop: list):
    data = write_zip(tmp_path / "a.zip", {f"{i}.png": picture(i % 4, 32) for i in range(32)})
    assert "metric di" in start(data).stderr
    assert "metric di" not in start(data, "--mirror=1").stderr
    assert "there are 20" in start(data, "--mirror=1", "--subset=10").stderr


@pytest.mark.parametrize("settings", [["networks.channel_max=65536", "networks.channel_base=16777216"],
                                      ["generator.w_dim=65536", "generator.mapping.num_layers=200"]])
def test_networks_larger_than_the_memory_are_refused_before_anything_is_made(data: Path, loop: list, settings: list):
    result = start(data, *[part for text in settings for part in ("--set", text)])
    assert_refused(result, "GiB at least", "networks.channel_max", loop=loop)
    assert not (data.parent / "runs").exists()


def test_help_comes_in_groups_with_defaults_and_an_example():
    text = call("--help").stdout
    groups = ["Data:", "Configuration:", "Training:", "Steering:", "Augmentation:", "Reports:", "Hardware:"]
    places = [text.index(f"\n{group}\n") for group in groups]
    assert places == sorted(places)
    assert "python train.py --outdir=runs --data=data/critters.zip --cfg=demo" in text
    assert text.count("[default: ") >= 25


# ---- transfer


def snapshot(folder: Path, resolution: int = 32) -> Path:
    config = tiny_config(resolution=resolution)
    networks = {name: tiny_generator(config) for name in ("G", "G_ema")}
    path = folder / snapshot_name(1.0)
    save_snapshot(path, config, 1.0, networks | {"D": Discriminator(config.discriminator)})
    return path


def test_resume_from_a_snapshot_takes_its_weights(data: Path, loop: list):
    path = snapshot(data.parent)
    assert start(data, "--resume", path).exit_code == 0
    ((config, run),) = loop
    assert config.resume == str(path)
    assert config.ema.rampup is None
    assert run.name == "00000-animals-demo-spatialgan-resume"


def test_resume_from_nothing_of_another_size_or_cut_short(data: Path, loop: list):
    assert_refused(start(data, "--resume", data.parent / "absent"), "absent: no such file", loop=loop)
    assert_refused(call("--outdir=runs", "--resume", data.parent / "absent"), "absent: no such file", loop=loop)
    assert_refused(start(data, "--resume", data.parent), "no run in this directory", loop=loop)
    assert_refused(start(data, "--continue"), "--resume=latest: no run in", loop=loop)
    other = snapshot(data.parent, resolution=16)
    assert_refused(start(data, "--resume", other), "makes images of 16x16, 3 channels; --data has 32x32", loop=loop)
    other.write_bytes(other.read_bytes()[:1000])
    assert_refused(start(data, "--resume", other), "not readable, perhaps cut short", loop=loop)
    other.write_bytes(struct.pack("<Q", 2) + b"{}")
    assert_refused(start(data, "--resume", other), "not a snapshot of this project", loop=loop)
    assert not (data.parent / "runs").exists()


# ---- going on


@pytest.mark.parametrize("how", ["--continue", "--resume=latest", "--resume=RUN"])
def test_a_run_goes_on_with_its_own_settings(data: Path, loop: list, how: str):
    start(data, "--gamma=3", "--kimg=1")
    ((config, path),) = loop
    result = call("--outdir", data.parent / "runs", how.replace("RUN", str(path)), "--kimg=2", "--snap=3")
    assert result.exit_code == 0, result.output
    longer, same_path = loop[1]
    assert same_path == path
    assert (longer.schedule.total_kimg, longer.schedule.snapshot_ticks) == (2, 3)
    changed = {"total_kimg": 1.0, "snapshot_ticks": config.schedule.snapshot_ticks}
    back = longer.model_copy(update={"schedule": longer.schedule.model_copy(update=changed)})
    assert back == config


def test_the_whole_command_may_be_given_again_with_continue(data: Path, loop: list):
    start(data, "--kimg=1")
    assert start(data, "--kimg=2", "--continue").exit_code == 0
    assert loop[1][1] == loop[0][1]
    assert_refused(start(data, "--kimg=2", "--gamma=9", "--continue"), "loss.r1_gamma is 3.0 there, 9.0 here")
    assert len(loop) == 2


@pytest.mark.parametrize("more", [[], ["--aug=ada"]])
def test_the_whole_command_of_a_transfer_goes_on_with_continue(data: Path, loop: list, more: list[str]):
    source = snapshot(data.parent)
    assert start(data, "--kimg=1", "--resume", source, *more).exit_code == 0
    source.unlink()
    result = start(data, "--kimg=2", "--continue", *more)
    assert result.exit_code == 0, result.output
    assert loop[1][1] == loop[0][1]
    assert loop[1][0].augment == loop[0][0].augment


def test_going_on_with_two_runs_or_with_a_new_one_is_refused(data: Path, loop: list):
    source = snapshot(data.parent)
    start(data)
    both = "--continue is --resume=latest, and --resume="
    assert_refused(start(data, "--continue", "--resume", source), both)
    assert_refused(call("--outdir", data.parent / "runs", "--continue", "--resume", loop[0][1]), both)
    for go_on in (["--continue"], ["--resume=latest"], ["--resume", loop[0][1]]):
        assert_refused(start(data, "--new", *go_on), "--new begins a run, and ")
    assert len(loop) == 1


@pytest.mark.parametrize(
    "option, text", [("--gamma=9", "loss.r1_gamma is 3.0 there, 9.0 here"), ("--cfg=demo", "has its settings already")]
)
def test_going_on_never_changes_what_is_learnt(data: Path, loop: list, option: str, text: str):
    start(data)
    assert_refused(call("--resume", loop[0][1], option), text)
    assert len(loop) == 1


def test_other_hardware_goes_on_with_the_same_run(data: Path, loop: list):
    start(data)
    start(data, "--workers=3", "--nhwc=0")
    assert loop[0][1] == loop[1][1]
    assert loop[1][0].data.workers == 3


def test_a_checkpoint_branches_off_into_a_new_run(data: Path, loop: list):
    start(data)
    config, path = loop[0]
    state = TrainingState.create(config, World())
    checkpoint = checkpoint_path(path, 0)
    save_checkpoint(checkpoint, config, state)
    assert start(data, "--resume", checkpoint, "--gamma=9").exit_code == 0
    branch, new_path = loop[1]
    assert branch.resume == str(checkpoint)
    assert new_path != path


def test_a_branch_with_other_channels_is_told_so_in_a_few_words(data: Path, loop: list):
    start(data)
    config, path = loop.pop()
    checkpoint = checkpoint_path(path, 0)
    save_checkpoint(checkpoint, config, TrainingState.create(config, World()))
    result = start(data, "--resume", checkpoint, "--set", "networks.channel_max=16")
    assert_refused(result, "a branch keeps its networks", "synthesis.channel_max is 32 there, 16 here", loop=loop)
    assert len(result.stderr) < 600
    assert start(data, "--resume", checkpoint, "--set", "networks.conv_clamp=100").exit_code == 0  # of the same shapes


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--cfg=paper265"], "--cfg 'paper265' is unknown; did you mean 'paper256'?"),
        (["--method=spacialgan"], "--method 'spacialgan' is unknown; did you mean 'spatialgan'?"),
        (["--set=loss.r1_gama=1"], "unknown key 'loss.r1_gama'; did you mean 'loss.r1_gamma'?"),
        (["--set=loss.r1_gamma"], "write it as KEY=VALUE"),
        (["--gamma=-1"], "--gamma (loss.r1_gamma) is -1.0"),
        (["--cond=1"], "has no labels"),
        (["--subset=5"], "has only 4 images"),
        (["--subset=0"], "--subset (data.subset) is 0"),
        (["--aug=adda"], "--aug 'adda' is unknown; did you mean 'ada'?"),
        (["--aug=fixed", "--p=2"], "--p (augment.p) is 2.0"),
        (["--aug=ada", "--augpipe=bgx"], "--augpipe 'bgx' is unknown; did you mean 'bg'?"),
        (["--target=0.5"], "--target=0.5 needs --aug=ada"),
        (["--metrics=dii"], "unknown metric 'dii'; did you mean 'di'?"),
        (["--method=stylegan2", "--tau=0.1"], "--tau needs heatmaps"),
        (["--sel=consat"], "--sel 'consat' is unknown; did you mean 'concat'?"),
        (["--sampler=nois"], "--sampler (sampler.kind): no sampler 'nois'; did you mean 'noise'?"),
        (["--cfg=sndcgan", "--sel=indoor"], "backbone sndcgan has no encoding layer indoor; use norm or concat"),
        (["--method=eqgan-4-conkat"], "--method 'eqgan-4-conkat' is unknown; did you mean 'eqgan-4-concat'?"),
        (["--device=tpu"], "--device (hardware.device) is 'tpu'"),
        (["--gpus=8", "--device=auto"], "--gpus=8"),
        (["--gpus=2"], "--gpus=2, but PyTorch sees"),
        (["--procs=0"], "--procs=0: give 1 or more"),
        (["--procs=2", "--gpus=2"], "give one of them"),
        (["--procs=3"], "schedule.batch_size 8 must be a multiple"),
    ],
)
def test_refused_arguments(data: Path, loop: list, arguments: list[str], text: str):
    assert_refused(start(data, *arguments), text, loop=loop)
    assert sorted(data.parent.iterdir()) == [data]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine with a GPU")
def test_gpus_on_a_machine_without(data: Path, loop: list):
    text = "--gpus=8, but PyTorch sees 0 CUDA devices here; use --gpus=1"
    assert_refused(start(data, "--gpus=8", "--device=auto"), text, loop=loop)
    assert_refused(start(data, "--device=cuda"), "is not available here (0 found)", loop=loop)


def test_a_run_of_more_gpus_than_there_are_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(planning, "choose_device", torch.device)
    going_on = Options(resume="run")
    with pytest.raises(UserError, match=r"on 8 GPUs, but PyTorch sees 4 CUDA devices here; .* --gpus=4$"):
        check_hardware(HardwareConfig(device="cuda", gpus=8), going_on, World())
    check_hardware(HardwareConfig(device="cuda", gpus=4), going_on, World())
    check_hardware(HardwareConfig(device="cpu", gpus=8), going_on, World())  # as many processes


def test_procs_are_launched_with_their_share(data: Path, monkeypatch: pytest.MonkeyPatch):
    launched = []
    note = lambda function, procs, device, *rest: launched.append((procs, device))  # noqa: E731
    monkeypatch.setattr("torch_utils.launch.launch", note)
    assert start(data, "--procs=2").exit_code == 0
    assert launched == [(2, "cpu")]


def test_torchrun_decides_how_many(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert_refused(start(data, "--gpus=4"), "--gpus=4, but torchrun started 2 processes")
    result = start(data, "--dry-run")
    assert yaml.safe_load(result.stdout)["hardware"]["gpus"] == 2


def test_missing_arguments(data: Path, loop: list):
    assert_refused(call("--outdir=runs"), "--data is missing", loop=loop)
    assert_refused(call("--outdir=runs", "--data="), "a path is empty", loop=loop)
    assert_refused(call("--data", data), "--outdir is missing", loop=loop)


def mixed_sizes(folder: Path) -> Path:
    return write_zip(folder / "mixed.zip", {"a.png": picture(0, 32), "b.png": picture(1, 64)})


def not_square(folder: Path) -> Path:
    return write_zip(folder / "wide.zip", {"a.png": picture(0, (64, 32))})


def no_power_of_two(folder: Path) -> Path:
    return write_zip(folder / "odd.zip", {"a.png": picture(0, 48)})


def empty_zip(folder: Path) -> Path:
    return write_zip(folder / "empty.zip", {})


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def cut_short(folder: Path) -> Path:
    path = images(folder)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def damaged_image(folder: Path) -> Path:
    return write_folder(folder / "images", {"a.png": encoded(picture(0, 32))[:20]})


def absent(folder: Path) -> Path:
    return folder / "absent.zip"


BAD_DATA = [mixed_sizes, not_square, no_power_of_two, empty_zip, empty_folder, cut_short, damaged_image, absent]


@pytest.mark.parametrize("make", BAD_DATA)
def test_refused_data(tmp_path: Path, loop: list, make):
    path = make(tmp_path)
    assert_refused(start(path), path.name, loop=loop)
    assert not (tmp_path / "runs").exists()


def test_images_too_small_for_alignment(tmp_path: Path, loop: list):
    small = images(tmp_path, size=16)
    assert_refused(start(small), "images of 16x16; alignment needs 32x32 or more", loop=loop)
    assert start(small, "--method=stylegan2").exit_code == 0


@pytest.mark.parametrize("cfg", ["demo", "sndcgan"])
def test_images_of_4x4_are_refused(tmp_path: Path, loop: list, cfg: str):
    small = images(tmp_path, size=4)
    result = call("--outdir", tmp_path / "runs", "--data", small, f"--cfg={cfg}", "--method=stylegan2", "--device=cpu")
    assert_refused(result, "D needs images of 8x8 or more", loop=loop)


def test_outdir_whose_name_is_not_utf_8(data: Path, loop: list):
    odd = data.parent / os.fsdecode(b"caf\xe9")
    assert_refused(call("--outdir", odd, "--data", data, "--cfg=demo", "--device=cpu"), "not valid UTF-8", loop=loop)
    assert not odd.exists()
    named = write_zip(odd.with_name(os.fsdecode(b"bilder\xe9.zip")), {f"{i}.png": picture(i, 32) for i in range(4)})
    assert start(named).exit_code == 0  # images may be called anything


def test_outdir_that_cannot_be_written(data: Path, loop: list):
    blocked = data / "runs"
    result = call("--outdir", blocked, "--data", data, "--cfg=demo", "--device=cpu")
    assert_refused(result, f"cannot make directory {blocked}: {data} is a file; choose another --outdir", loop=loop)


def test_outdir_that_is_another_run(data: Path, loop: list):
    start(data)
    _, path = loop.pop()
    result = call("--outdir", path, "--data", data, "--cfg=demo", "--device=cpu", "--gamma=7")
    assert_refused(result, "is a run with other settings (loss.r1_gamma is 3.0 there, 7.0 here)", loop=loop)
    assert [file.name for file in path.iterdir()] == ["config.json"]


# ---- runs that go on elsewhere, and names


def test_a_run_goes_on_with_its_data_elsewhere(data: Path, loop: list):
    start(data)
    config, path = loop[0]
    moved = data.rename(data.parent / "moved.zip")
    assert call("--resume", path, "--data", moved).exit_code == 0
    assert loop[1] == (run_dir.moved(config, str(moved)), path)
    assert_refused(call("--resume", path, "--data", moved, "--gamma=9"), "loss.r1_gamma is 3.0 there, 9.0 here")
    absent = ("--resume", path, "--data", data.parent / "absent.zip")
    assert_refused(call(*absent, "--dry-run"), "absent.zip")
    assert_refused(call(*absent), "absent.zip")
    assert start(moved, "--continue").exit_code == 0
    assert loop[2] == loop[1]


def test_the_same_command_goes_on_when_the_source_of_its_transfer_is_gone(data: Path, loop: list):
    source = snapshot(data.parent)
    assert start(data, "--resume", source).exit_code == 0
    source.unlink()
    result = start(data, "--resume", source)
    assert result.exit_code == 0, result.output
    assert "going on with " in result.stdout
    assert loop[1] == loop[0]
    assert_refused(start(data, "--resume", source, "--seed=5"), "no such file")


def test_keeping_snapshots_makes_no_other_run(data: Path, loop: list):
    start(data)
    start(data, "--keep=3")
    assert loop[0][1] == loop[1][1]
    assert loop[1][0].schedule.keep_snapshots == 3
    assert_refused(start(data, "--keep=0"), "--keep (schedule.keep_snapshots) is 0")


def test_no_more_layers_are_frozen_than_there_are(data: Path, loop: list):
    assert start(data, "--freezed=10").exit_code == 0
    assert_refused(start(data, "--freezed=99"), "--freezed=99: D has 10 layers before its last ones")
    assert_refused(start(data, "--freezed=8", "--cfg=sndcgan"), "--freezed=8: D has 7 layers")
    assert len(loop) == 1


def test_a_long_name_of_the_data_makes_a_shorter_one_of_the_run(data: Path, loop: list):
    long = data.rename(data.parent / ("ä" * 100 + "x" * 32 + ".zip"))
    assert start(long).exit_code == 0
    assert start(long).exit_code == 0
    assert loop[0][1] == loop[1][1]
    assert len(loop[0][1].name.encode()) <= 200
