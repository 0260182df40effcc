"""Every number that a command takes: one clear line, or success; never a traceback, an endless loop or a file left."""

import functools
import json
import math
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import calc_metrics
import dataset_tool
import generate
import projector
import style_mixing
import train
import visualize
from dnnlib.cli import Number
from dnnlib.errors import UserError
from dnnlib.parsing import int_ranges
from editing.commands import directions, drag, towards
from editing.latent.directions_request import parse_layers
from metrics import registry
from tests.editing.latent.conditions.test_files import Means, script
from tests.mutations import Hangs, memory_limit, time_limit
from tests.test_command_lines import MODULES, PROGRAMS, parameters
from tests.tiny_models import save_tiny_snapshot
from tests.training.data_samples import picture, write_folder, write_zip
from tests.watching import files_below
from training.config import DiscriminatorConfig, GeneratorConfig, RunConfig
from training.cost import summary as cost
from training.data.class_names import parse_class
from training.data.conditions import discs
from training.layouts import edits
from training.networks.backbones import make_discriminator, make_generator
from training.presets.keys import known_keys
from training.presets.options import NUMBER, WHOLE, Options
from training.presets.resolve import DECIDED, DataFacts, resolve
from training.presets.values import read_value

FACTS = DataFacts("toys", 32, 3, 1000)
TINY = ("networks.channel_max=8", "generator.z_dim=8", "generator.w_dim=8")
WORDS = ["", "nan", "inf", "-inf", ".inf", ".nan", "1e308", "1.0e+308", "-1.0e+308", "1e-308", "1.0e-308", "0", "-0.0",
         "-1", "0.5", "1", "2", "3", "1e999", str(2**31), str(2**32), str(2**63), str(2**64), str(10**9), "9" * 5000,
         "[]", "[0]", "[1, -1]", "[.inf]", "null", "{}", "true", "1_000", "0x10", "١", "x" * 5000, "[" * 500,
         "2020-99-99", "!!binary x", "*a", "\0", "\udcff"]  # fmt: skip
UNREADABLE = ["[" * 500, "2020-99-99", "!!binary x", "*a", "\0"]  # that are no YAML, or no safe YAML
NUMERIC = [each.name for each in fields(Options) if each.metadata["option"].get("type") in (NUMBER, WHOLE)]
KEYS = sorted(key for key, is_section in known_keys().items() if not is_section and key not in DECIDED)

numbers = st.one_of(
    st.sampled_from(WORDS),
    st.integers().map(str),
    st.floats().map(str),
    st.integers(-(2**70), 2**70).map(str),
)
fuzz = settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))


def built(config: RunConfig) -> None:
    """Everything that a run makes of its configuration, without memory for it."""
    json.dumps(config.model_dump(mode="json"), allow_nan=False)
    networks_built(config.generator, config.discriminator)
    for optimizer in (config.generator_optimizer, config.discriminator_optimizer):
        lr, betas = optimizer.corrected()
        torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=lr, betas=betas, eps=optimizer.eps)
    assert 0 <= config.ema.beta(1000, config.schedule.batch_size) < 1
    assert round(config.schedule.total_kimg * 1000) >= 1
    assert math.isfinite(1e12 // (config.schedule.kimg_per_tick * 1000))


@functools.cache
def networks_built(generator: GeneratorConfig, discriminator: DiscriminatorConfig) -> None:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # initializing nothing
        make_generator(generator)
        make_discriminator(discriminator)


def refusal(**options: Any) -> str | None:
    """What `resolve` refuses it with; None where it makes a configuration, of which everything can be built."""
    try:
        config = resolve(Options(data="toys.zip", cfg="demo", **options), FACTS)
    except UserError as error:
        return str(error)
    built(config)
    return None


def is_short_line(text: str) -> bool:
    return 0 < len(text) < 1000 and "\n" not in text


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=pytest.mark.slow) if key.endswith("spectral_norm") else key for key in KEYS]
)
def test_every_key_with_every_odd_value(key: str):
    said = {word: refusal(settings=(*TINY, f"{key}={word}")) for word in WORDS}
    assert all(is_short_line(line) for line in said.values() if line is not None)
    assert all(said[word] is not None for word in UNREADABLE)


@pytest.mark.slow
@fuzz
@given(key=st.sampled_from(KEYS), text=numbers)
def test_every_key_with_any_number(key: str, text: str):
    line = refusal(settings=(*TINY, f"{key}={text}"))
    assert line is None or is_short_line(line)


@pytest.mark.slow
@fuzz
@given(st.dictionaries(st.sampled_from(NUMERIC), st.one_of(st.integers(), st.floats()), max_size=4))
def test_every_option_of_train_with_any_number(options: dict[str, Any]):
    line = refusal(settings=TINY, **options)
    assert line is None or is_short_line(line)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("seed=4294967296", "seed is 4294967296: Input should be less than 4294967296"),
        ("generator_optimizer.betas=[0, 1]", "Input should be less than 1"),
        ("generator.mapping.num_layers=1000000000", "num_layers is 1000000000"),
        ("generator.z_dim=1000000000", "z_dim is 1000000000"),
        ("generator.z_dim=0", "z_dim is 0, and there are no labels"),
        ("networks.channel_base=8", "channel_base 8 leaves no channel at 32x32"),
        ("networks.resample_filter=[]", "at least 1 item"),
        ("networks.resample_filter=[1, -1]", "the taps of a filter are divided by their sum, which must not be 0"),
        ("discriminator.mbstd_num_channels=3", "mbstd_num_channels 3 must divide the 8 channels at 4x4"),
        ("schedule.total_kimg=.inf", "finite number"),
        ("schedule.total_kimg=.nan", "finite number"),
        ("schedule.total_kimg=1.0e-300", "total_kimg is 1e-300"),
        ("schedule.kimg_per_tick=1.0e-300", "kimg_per_tick is 1e-300"),
        ("sampler.spread=[1.0e-300, 1]", "Input should be greater than or equal to 0.0001"),
        ("seed=" + "9" * 5000, "the value is no YAML"),
        ("loss.r1_gamma=2020-99-99", "the value is no YAML"),
        ("loss.r1_gamma=" + "[" * 1000, "the value is no YAML"),
    ],
)
def test_numbers_that_ended_in_tracebacks_or_hangs(setting: str, words: str):
    with pytest.raises(UserError) as caught:
        resolve(Options(data="toys.zip", cfg="demo", settings=(*TINY, setting)), FACTS)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


def configured(**options: Any) -> RunConfig:
    return resolve(Options(data="toys.zip", cfg="demo", **options), FACTS)


ODD_DIGITS = ["1_0", "１", "١"]  # which int() and float() take
WRITTEN: dict[str, tuple[Callable[[str], Any], str]] = {  # {option: (what reads it, a text with {} for a number)}
    "--grid": (edits.parse_grid, "{}x2"),
    "--centers": (lambda text: edits.parse_centers([text]), "0:0:0.{},0"),
    "--centers, index": (lambda text: edits.parse_centers([text]), "0:{}:0.1,0"),
    "--move": (lambda text: edits.parse_moves([text]), "0,0.{}"),
    "--remove": (lambda text: edits.parse_removals([text]), "{}"),
    "--restyle": (lambda text: edits.parse_restyles([text]), "0:{}"),
    "--restyle, other": (lambda text: edits.parse_restyles([text]), "0:1:{}"),
    "--strength": (lambda text: edits.parse_changes("strength", [text]), "0=0.{}"),
    "--seeds": (int_ranges, "0,1-{}"),
    "--metrics": (registry.find, "rfd{}k_full"),
    "--class": (lambda text: parse_class(text, 20), "{}"),
    "--class, a label": (lambda text: parse_class(text, 2), "0.{},0"),
    "--label-map": (lambda text: discs(text, ["background", "ball"], 8), "ball:0,0,0.{}"),
    "--objects": (lambda text: dataset_tool._object_count(text, None, False), "{}"),
    "--amplitudes": (visualize._numbers, "0,0.{}"),
    "--layers": (parse_layers, "{}"),
    "--set": (lambda text: configured(settings=(text,)), "seed={}"),
    "--set, a fraction": (lambda text: configured(settings=(text,)), "align.tau=0.{}"),
    "--set, a list": (lambda text: configured(settings=(text,)), "networks.resample_filter=[1, {}]"),
    "--sel-max-res": (lambda text: configured(sel_max_res=text), "{}6"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_numbers_are_of_plain_digits(name: str):
    read, text = WRITTEN[name]
    read(text.format(1))
    for digits in ODD_DIGITS:
        with pytest.raises(UserError) as caught:
            read(text.format(digits))
        assert is_short_line(str(caught.value))


@pytest.mark.parametrize(
    ("text", "value"),
    [("010", 10), ("1e-3", 0.001), ("-1.5", -1.5), (".5", 0.5), ("[1, 2e1]", [1, 20.0]), ("1:30", "1:30"),
     ("0x1F", "0x1F"), ("null", None), ("true", True), ("a-b", "a-b"), (".inf", math.inf), ("2_x", "2_x"), ("", None)],
)  # fmt: skip
def test_values_of_settings(text: str, value: Any):
    assert read_value(text, "--set x") == value


# ---- whole commands


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    save_tiny_snapshot(folder)
    write_zip(folder / "noise.zip", {f"{i}.png": picture(i, 16) for i in range(64)})
    write_zip(folder / "toys.zip", {f"{i}.png": picture(i, 32) for i in range(4)})
    write_folder(folder / "cutouts", {"fox.png": cutout()})
    script(folder / "mean.pt", Means())
    return folder


def cutout() -> Image.Image:
    image = Image.new("RGBA", (60, 40))
    image.paste((250, 120, 0, 255), (10, 10, 50, 30))
    return image


def numeric(command: click.Command) -> Iterator[str]:
    """Options of a command that take a value and are not names of files."""
    paths = {"--network", "--data", "--out", "--outdir", "--images", "--compare", "--layout", "--weights", "--versus",
             "--detector-weights", "--resume", "--save-layout", "--video", "--latents", "--source", "--dest",
             "--cutouts", "--backgrounds", "--floors", "--target", "--save-latents", "--save-session", "--condition",
             "--figure"}  # fmt: skip
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_flag and option.opts[0] not in paths:
            yield option.opts[0]


def assert_one_line_or_success(result: Result, words: list[str]) -> None:
    assert result.exit_code in (0, 2), (words, result.output, result.exception)
    if result.exit_code == 2:
        last = [line for line in result.stderr.splitlines() if line][-1]
        assert last.startswith("Error: "), (words, result.stderr)
        assert len(last) < 1000, words


def commands(place: Path) -> dict[str, tuple[click.Command, list[str], list[str]]]:
    """{name: (command, words that make it work, its options)}; little work where all is well."""
    network, data = f"--network={place}", f"--data={place / 'noise.zip'}"
    measured = [network, data, "--metrics=w", "--device=cpu", "--num=1", "--no-save"]
    found = {
        "train": (train.main, ["--dry-run", "--cfg=demo", f"--data={place / 'toys.zip'}", "--device=cpu"]),
        "generate": (generate.main, [network, f"--outdir={place / 'out'}", "--device=cpu", "--seeds=1"]),
        "calc_metrics": (calc_metrics.main, measured),
        **commands_of_data(place),
        **commands_of_editing(place),
    }
    for name, command in visualize.main.commands.items():
        if name not in ("all", "scores"):
            out = [network, f"--out={place / 'figure.png'}", "--device=cpu"]
            found[f"visualize {name}"] = (command, out)
    return {name: (command, words, [*numeric(command)]) for name, (command, words) in found.items()}


def commands_of_data(place: Path) -> dict[str, tuple[click.Command, list[str]]]:
    dest = [f"--dest={place / 'made.zip'}"]
    drawn = [*dest, "--images=1", "--resolution=16"]
    return {
        "dataset_tool": (dataset_tool.main, [f"--source={place / 'toys.zip'}", *dest]),
        "toy": (dataset_tool.toy, ["--kind=rooms", *drawn]),
        "compose": (dataset_tool.compose_command, [f"--cutouts={place / 'cutouts'}", "--objects=2", *drawn]),
    }


def commands_of_editing(place: Path) -> dict[str, tuple[click.Command, list[str]]]:
    model, out = [f"--network={place}", "--device=cpu"], f"--outdir={place / 'out'}"
    target = f"--target={place / 'cutouts' / 'fox.png'}"
    wish = [f"--condition={place / 'mean.pt'}", "--target=mean0+=0.1", "--method=optimization", "--samples=5"]
    return {
        "projector": (projector.main, [*model, out, target, "--num-steps=1", "--loss=pixels"]),
        "towards": (towards.command, [*model, f"--out={place / 'strip.png'}", *wish, "--max-steps=1"]),
        "drag": (drag.command, [*model, f"--out={place / 'strip.png'}", "--points=0,0>0.1,0", "--max-steps=1"]),
        "style_mixing": (style_mixing.main, [*model, out, "--rows=1", "--cols=2"]),
        "directions": (directions.command, [*model, f"--dest={place / 'd.safetensors'}", "--columns=2"]),
    }


@pytest.fixture
def no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "summarize", lambda config: built(config))
    monkeypatch.setattr(cost, "table", lambda found: "")


NUMBERS_OF_FIGURES = ["nan", "inf", "1e308", "-1", "10000000000", "9" * 5000, ""]
ODD = [word for word in WORDS if "\0" not in word and word not in ("1", "2", "3")]


SLOWER = ("train", "generate", "calc_metrics", "toy", "compose", "projector", "drag", "towards", "style_mixing",
          "directions")  # fmt: skip


@pytest.mark.parametrize(
    "name", ["dataset_tool", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOWER)]
)
def test_every_option_with_every_odd_value(place: Path, no_summary: None, name: str):
    command, words, options = commands(place)[name]
    for option in options:
        for word in ODD:
            given = [*words, f"{option}={word}"]
            assert_one_line_or_success(CliRunner().invoke(command, given), given[-1:])


@pytest.mark.slow
def test_every_option_of_figures_with_every_odd_value(place: Path):
    for name, (command, words, options) in commands(place).items():
        if name.startswith("visualize"):
            for option in options:
                for word in NUMBERS_OF_FIGURES:
                    given = [*words, f"{option}={word}"]
                    assert_one_line_or_success(CliRunner().invoke(command, given), given[-1:])


# ---- whole commands, any numbers

MEMORY, SECONDS = 4 << 30, 10.0  # bytes beyond what the process has; seconds
WORK = {"--num", "--num-steps", "--max-steps", "--seeds", "--frames", "--images", "--count", "--samples", "--grid",
        "--resolution", "--rows", "--cols", "--scale", "--layouts", "--columns"}  # how much there is to do  # fmt: skip

STARTS_PROCESSES = {("calc_metrics", "--gpus")}  # which take their time; with train.py it is a dry run

lists = st.builds(str.join, st.sampled_from(",-x:;>="), st.lists(numbers, min_size=2, max_size=4))
texts = st.one_of(numbers, lists).filter(lambda text: "\0" not in text)  # no word of a command line has one


@pytest.mark.slow
@settings(fuzz, max_examples=60)
@pytest.mark.parametrize("name", commands(Path()))
@given(data=st.data())
def test_every_option_with_any_number(place: Path, no_summary: None, name: str, data: st.DataObject):
    command, words, options = commands(place)[name]
    options = [option for option in options if (name, option) not in STARTS_PROCESSES]
    chosen = data.draw(st.lists(st.sampled_from(options), min_size=1, max_size=3))
    given_ = [f"{option}={data.draw(texts)}" for option in chosen]
    before = files_below(place)
    try:
        with memory_limit(MEMORY), time_limit(SECONDS):
            result = CliRunner().invoke(command, [*words, *given_])
    except Hangs:
        assert WORK & {*chosen}, given_
    else:
        assert_one_line_or_success(result, given_)
        assert result.exit_code == 0 or files_below(place) == before, given_
    made = files_below(place).keys() - before.keys()
    assert [path for path in made if path.name.startswith(".")] == [], given_
    remove(made)


def remove(paths: Collection[Path]) -> None:
    for path in sorted(paths, reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("module", [*PROGRAMS, *MODULES])
@given(text=numbers)
@settings(fuzz, max_examples=200)
def test_every_option_takes_numbers_within_bounds_only(module: str, text: str):
    """Of benchmarks and experiments, too."""
    for name, each in parameters(module):
        if not isinstance(each.type, Number | click.IntRange):
            continue
        least, most = bounds(each.type)
        try:
            found = each.type.convert(text, each, None)
        except click.UsageError:
            continue
        assert math.isfinite(found), name
        assert least <= found <= most, name


def bounds(kind: Number | click.IntRange) -> tuple[float, float]:
    if isinstance(kind, Number):
        return kind.least, kind.most
    assert kind.min is not None
    assert kind.max is not None
    return kind.min, kind.max
