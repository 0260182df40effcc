"""generate.py: what it writes, and the one line it says about bad input before it writes anything."""

import errno
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from dnnlib.files import write_json
from generate import main
from tests.tiny_models import save_tiny_snapshot
from tests.training.networks.lineage import CONDITIONED, conditioned_config
from tests.training.saved import save_snapshot
from tests.training.small import global_streams, make_networks
from training.layouts.files import load_layout, save_layout
from training.layouts.layout import concatenate
from training.pictures import grids
from training.runs.snapshot import snapshot_name
from training.sampling import Model


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run directories "steerable", "plain", "conditional", "other", "grey" and "scene"."""
    folder = tmp_path_factory.mktemp("runs")
    kinds = {
        "steerable": {},
        "plain": {"method": "stylegan2"},
        "conditional": {"classes": 3},
        "other": {"counts": (1, 1, 1)},
        "grey": {"channels": 1},
        "scene": {"method": "spatialgan-indoor"},
    }
    for name, options in kinds.items():
        (folder / name).mkdir()
        save_tiny_snapshot(folder / name, **options)
    return folder


@pytest.fixture(scope="module")
def model(runs: Path) -> Model:
    return Model.load(runs / "steerable", "cpu")


class Tool:
    """Runs generate.py on the steerable model with --outdir `out`; options are written as in a shell."""

    def __init__(self, runs: Path, folder: Path):
        self.runs, self.out = runs, folder / "out"

    def __call__(self, options: str, network: str = "steerable", **paths: Path) -> Result:
        words = [word.format(**paths) for word in options.split()]
        fixed = ["--network", str(self.runs / network), "--outdir", str(self.out), "--device", "cpu"]
        return CliRunner().invoke(main, [*fixed, *words])

    def made(self, options: str, **given) -> dict[str, np.ndarray]:
        """{file name: pixels} of the PNGs it wrote."""
        result = self(options, **given)
        assert result.exit_code == 0, result.output
        files = sorted(self.out.rglob("*.png"))
        return {path.relative_to(self.out).as_posix(): np.asarray(Image.open(path)) for path in files}

    def refuses(self, options: str, **given) -> str:
        """The complaint: one line, status 2, and no output folder."""
        result = self(options, **given)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1
        assert not self.out.exists()
        return result.stderr


@pytest.fixture
def tool(runs: Path, tmp_path: Path) -> Tool:
    return Tool(runs, tmp_path)


def pixels(images: torch.Tensor) -> np.ndarray:
    return grids.to_pixels(images)


def assert_alike(a: np.ndarray, b: np.ndarray) -> None:
    """Equal but for pixels that rounding in another batch tips over."""
    assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


# ---- pictures


def test_one_png_a_seed(tool: Tool, model: Model):
    made = tool.made("--seeds 0,3,5-6")
    assert list(made) == ["seed0000.png", "seed0003.png", "seed0005.png", "seed0006.png"]
    for picture, expected in zip(made.values(), pixels(model.images([0, 3, 5, 6])), strict=True):
        assert_alike(picture, expected)


def test_the_same_seed_gives_the_same_file_on_every_call(runs: Path, tmp_path: Path):
    before = global_streams()
    first = Tool(runs, tmp_path / "a").made("--seeds 3-5 --noise-mode random")
    again = Tool(runs, tmp_path / "b").made("--seeds 3-5 --noise-mode random")
    alone = Tool(runs, tmp_path / "c").made("--seeds 4 --noise-mode random")
    small = Tool(runs, tmp_path / "d").made("--seeds 3-5 --noise-mode random --batch 2")
    for name, picture in first.items():
        assert np.array_equal(picture, again[name])
        assert_alike(picture, small[name])
    assert_alike(alone["seed0004.png"], first["seed0004.png"])
    assert global_streams() == before


def test_a_file_is_a_network_too(tool: Tool, runs: Path):
    assert list(tool.made("--seeds 1", network="steerable/network-snapshot-000001.safetensors")) == ["seed0001.png"]


def test_truncation_and_noise_reach_the_model(tool: Tool, model: Model):
    made = tool.made("--seeds 1 --trunc 0.5 --trunc-cutoff 2 --noise-mode none")
    expected = model.images([1], truncation_psi=0.5, truncation_cutoff=2, noise_mode="none")
    assert_alike(made["seed0001.png"], pixels(expected)[0])


def test_a_class(tool: Tool, runs: Path):
    made = tool.made("--seeds 1 --class 2", network="conditional")
    expected = Model.load(runs / "conditional", "cpu").images([1], labels=2)
    assert_alike(made["seed0001.png"], pixels(expected)[0])


def test_grey_models_give_grey_files(tool: Tool):
    assert tool.made("--seeds 1 --show-heatmaps", network="grey")["seed0001.png"].shape == (16, 16)


def test_a_plain_model(tool: Tool):
    assert list(tool.made("--seeds 1", network="plain")) == ["seed0001.png"]


def test_it_says_what_it_wrote(tool: Tool):
    assert tool("--seeds 0-9").stdout.endswith("seed0002.png and 7 more\n")


# ---- fixed latents


@pytest.mark.parametrize("option", ["--latents", "--projected-w"])
def test_projected_w(tool: Tool, model: Model, tmp_path: Path, option: str):
    ws = model.styles([11, 12])
    np.savez(tmp_path / "fixed.npz", w=ws.numpy())
    made = tool.made(f"{option} {{file}}", file=tmp_path / "fixed.npz")
    assert list(made) == ["latent0000.png", "latent0001.png"]
    assert_alike(np.stack(list(made.values())), pixels(model.images([0, 1], ws=ws)))


def test_one_latent_under_the_layouts_of_several_seeds(tool: Tool, model: Model, tmp_path: Path):
    z = model.latents([11])
    np.savez(tmp_path / "fixed.npz", z=z.numpy())
    made = tool.made("--latents {file} --seeds 4,5 --trunc 0.7", file=tmp_path / "fixed.npz")
    expected = model.images([4, 5], z=z, truncation_psi=0.7)
    assert_alike(np.stack([made["seed0004.png"], made["seed0005.png"]]), pixels(expected))


# ---- layouts (the fifth defect: centres could not be given on the command line)


def test_centres_on_the_command_line(tool: Tool, model: Model, tmp_path: Path):
    made = tool.made("--seeds 7 --centers -0.3,0.2 --centers 1:1:0.9,0.8;2:0:0,0 --save-layout {file}",
                     file=tmp_path / "new" / "used.json")
    used = load_layout(tmp_path / "new" / "used.json")
    assert used.centers[0][0, 0].tolist() == pytest.approx([-0.3, 0.2])
    assert used.centers[1][0, 1].tolist() == pytest.approx([0.9, 0.8])
    assert used.centers[2][0, 0].tolist() == [0, 0]
    own = model.layout([7])
    followed = own.centers[2][0, 1] - own.centers[0][0, 0]
    torch.testing.assert_close(used.centers[2][0, 1] - used.centers[0][0, 0], followed)
    assert_alike(made["seed0007.png"], pixels(model.images([7], layout=used))[0])
    assert not np.array_equal(made["seed0007.png"], pixels(model.images([7]))[0])


def test_a_saved_layout_can_be_replayed(tool: Tool, runs: Path, tmp_path: Path):
    first = tool.made("--seeds 2,3 --save-layout {file}", file=tmp_path / "used.json")
    again = Tool(runs, tmp_path / "b").made("--seeds 2,3 --layout {file}", file=tmp_path / "used.json")
    for name, picture in first.items():
        assert np.array_equal(picture, again[name])


def test_one_layout_for_all_seeds(tool: Tool, model: Model, tmp_path: Path):
    layout = model.layout([9])
    save_layout(tmp_path / "one.json", layout)
    made = tool.made("--seeds 1,2 --layout {file}", file=tmp_path / "one.json")
    assert_alike(np.stack(list(made.values())), pixels(model.images([1, 2], layout=layout)))


def test_show_heatmaps_writes_a_second_png(tool: Tool, model: Model):
    made = tool.made("--seeds 0,1 --batch 1 --show-heatmaps")
    assert list(made) == ["heatmaps/seed0000.png", "heatmaps/seed0001.png", "seed0000.png", "seed0001.png"]
    expected = grids.samples_beside_heatmaps(model.images([1]), model.layout([1]))
    assert_alike(made["heatmaps/seed0001.png"], expected)


# ---- scenes of several objects


@pytest.fixture(scope="module")
def scene(runs: Path) -> Model:
    return Model.load(runs / "scene", "cpu")


def test_objects_are_placed_and_removed(tool: Tool, scene: Model):
    made = tool.made("--seeds 3 --centers 0:1:0.3,-0.2 --remove 0,0:2", network="scene")
    own = scene.layout([3])
    x, y = own.centers[0][0, 1].tolist()
    layout = own.moved(0, 1, 0.3 - x, -0.2 - y).with_strength(0, 0, 0.0).with_strength(0, 2, 0.0)
    assert_alike(made["seed0003.png"], pixels(scene.images([3], layout=layout))[0])


def test_objects_are_restyled(tool: Tool, scene: Model):
    made = tool.made("--seeds 3 --restyle 1:8,3:9", network="scene")
    z = scene.latents([3])
    z[:, 1], z[:, 3] = scene.latents([8])[:, 1], scene.latents([9])[:, 3]
    assert_alike(made["seed0003.png"], pixels(scene.images(z=z, layout=scene.layout([3])))[0])


def test_a_style_is_copied_from_another_object(tool: Tool, scene: Model):
    made = tool.made("--seeds 3 --restyle 1:8:2", network="scene")
    z = scene.latents([3])
    z[:, 1] = scene.latents([8])[:, 2]
    assert_alike(made["seed0003.png"], pixels(scene.images(z=z, layout=scene.layout([3])))[0])


def test_an_object_moves_alone(tool: Tool, scene: Model):
    made = tool.made("--seeds 3 --centers 0:2:0,0 --move 0:2:0.5,0 --frames 3", network="scene")
    own = scene.layout([3])
    x, y = own.centers[0][0, 2].tolist()
    layout = own.moved(0, 2, -x, -y).repeat(3).moved(0, 2, torch.linspace(0, 0.5, 3), 0.0)
    expected = grids.moving_strip(scene.images([3] * 3, layout=layout), layout)
    assert_alike(made["strips/seed0003.png"], expected)


def test_a_scene_with_removed_objects_can_be_replayed(tool: Tool, runs: Path, tmp_path: Path):
    first = tool.made("--seeds 3 --remove 1 --save-layout {file}", network="scene", file=tmp_path / "scene.json")
    other = Tool(runs, tmp_path / "again")
    again = other.made("--seeds 3 --layout {file}", network="scene", file=tmp_path / "scene.json")
    assert np.array_equal(first["seed0003.png"], again["seed0003.png"])


@pytest.mark.parametrize(
    "options, complaint",
    [
        ("--seeds 1 --centers 1:0:0,0", "no centre 1:0 in a layout with 3 centres at level 0"),
        ("--seeds 1 --remove 3", "no centre 0:3 in a layout with 3 centres at level 0"),
        ("--seeds 1 --remove x", "--remove 'x' is not of the form level:index or index"),
        ("--seeds 1 --restyle 2", "--restyle '2' is not of the form object:seed or object:seed:other"),
        ("--seeds 1 --restyle 4:7", "--restyle 4:7: objects are 0 to 2, 3 the background"),
        ("--seeds 1 --restyle 1:7:4", "--restyle 1:7:4: objects are 0 to 2, 3 the background"),
    ],
)
def test_bad_options_of_scenes(tool: Tool, options: str, complaint: str):
    assert complaint in tool.refuses(options, network="scene")


def test_restyling_needs_objects(tool: Tool):
    assert "--restyle needs a model of several objects" in tool.refuses("--seeds 1 --restyle 0:1")


@pytest.mark.parametrize("shape", [(2, 8), (2, 2, 8), (2, 4, 5)])
@pytest.mark.usefixtures("scene")
def test_restyling_latents_of_another_model_is_refused(tool: Tool, tmp_path: Path, shape: tuple[int, ...]):
    file = tmp_path / "fixed.npz"
    np.savez(file, z=np.zeros(shape))
    message = tool.refuses("--latents {file} --restyle 1:8", network="scene", file=file)
    assert f"z must have the shape [N, 4, 8] for this model, not {list(shape)}" in message


# ---- moving centres


def test_a_move_gives_a_strip_a_seed(tool: Tool, model: Model):
    made = tool.made("--seeds 3,4 --centers -0.4,0 --move 0:0:0.8,0.2 --frames 5")
    assert list(made) == ["strips/seed0003.png", "strips/seed0004.png"]
    own = model.layout([3])
    x, y = own.centers[0][0, 0].tolist()
    start = own.moved(0, 0, -0.4 - x, -y).repeat(5)
    layout = start.moved(0, 0, torch.linspace(0, 0.8, 5), torch.linspace(0, 0.2, 5))
    assert_alike(made["strips/seed0003.png"], grids.moving_strip(model.images([3] * 5, layout=layout), layout))


def test_a_move_with_heatmaps_and_default_frames(tool: Tool):
    made = tool.made("--seeds 3 --centers 0,0;2:1:0,0 --move 2:1:0,0.3 --show-heatmaps")
    assert list(made) == ["strips/seed0003-heatmaps.png", "strips/seed0003.png"]
    assert made["strips/seed0003.png"].shape[1] == 9 * 64 + 8 * grids.GAP


def test_a_gif_of_a_move(tool: Tool, tmp_path: Path):
    tool.made("--seeds 3,4 --centers 0,0 --move 0.5,0 --frames 4 --video {file}", file=tmp_path / "new" / "move.gif")
    with Image.open(tmp_path / "new" / "move.gif") as video:
        assert video.n_frames == 4
        assert video.size == (2 * 128 + grids.GAP, 128)


# ---- grids


def test_a_grid(tool: Tool, model: Model):
    made = tool.made("--grid 3x2 --show-heatmaps")
    assert list(made) == ["grids/grid-heatmaps.png", "grids/grid.png"]
    assert_alike(made["grids/grid.png"], grids.image_grid(model.images(range(6)), columns=3))


def test_a_grid_of_chosen_seeds(tool: Tool):
    made = tool.made("--grid 3x2 --seeds 5-8")
    assert made["grids/grid.png"].shape == (128 + grids.GAP, 3 * 64 + 2 * grids.GAP, 3)


# ---- bad input: one line, status 2, nothing written


def test_help_is_there():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "--centers" in result.output


@pytest.mark.parametrize(
    "options, complaint",
    [
        ("", "which pictures? Give --seeds"),
        ("--seeds 1,x", "'1,x' is no list of numbers; write it as 0,3,5-8"),
        ("--seeds 4294967296", "4294967296 is too large; the largest number here is 4294967295"),
        ("--seeds 1 --class 0", "trained without labels"),
        ("--seeds 1 --device toaster", "unknown device 'toaster'"),
        ("--seeds 1 --centers 1.2,0", "--centers 0:0:1.2,0: x and y must be in [-1, 1]"),
        ("--seeds 1 --centers 0:0:0", "must be 2 comma-separated numbers"),
        ("--seeds 1 --centers 2:4:0,0", "no centre 2:4 in a layout with 1/2/4 centres"),
        ("--seeds 1 --centers 0.5,0 --move 0:0:0.6,0", "--move 0:0:0.6,0 takes seed0001 to (1.1, 0), outside [-1, 1]"),
        ("--seeds 1 --move 5:0:0.6,0", "no centre 5:0"),
        ("--seeds 1 --frames 4", "--frames is about something that changes; add --move, or a range"),
        ("--seeds 1 --video a.gif", "--video is about something that changes; add --move, or a range"),
        ("--seeds 1 --move 0,0 --video a.avi", "videos are .gif or .mp4 files"),
        ("--seeds 1 --move 0,0 --grid 1x1", "--grid and --move cannot be combined"),
        ("--grid 0x3", "--grid '0x3' must be columns x rows"),
        ("--grid 2x2 --seeds 0-4", "5 pictures do not fit in --grid 2x2"),
        ("--seeds 1 --layout missing.json", "cannot read missing.json"),
        ("--seeds 1 --latents missing.npz", "missing.npz: no such file"),
        ("--seeds 0-9999999999", "is too large; the largest number here is 4294967295"),
        ("--seeds 0-4294967295", "a list of more than 1,000,000 numbers"),
        ("--seeds " + "1" * 5000, "is too large"),
        ("--seeds 1 --trunc nan", "'nan' is no finite number"),
        ("--seeds 1 --trunc 1e308", "1e308 is out of range"),
        ("--seeds 1 --frames 1000000000 --move 0,0", "1000000000 is out of range; give 2 or more, at most 10000"),
        ("--seeds 1 --move nan,0", "must be finite numbers"),
        ("--seeds 1 --move 1e308,0", "outside [-1, 1]"),
        ("--seeds 1 --centers inf,0", "must be finite numbers"),
        (f"--seeds 1 --centers {'7' * 5000}:0:0,0", "is too large"),
        (f"--seeds 1 --remove {'7' * 5000}", "is too large"),
        (f"--grid {'9' * 5000}x1", "is too large"),
        ("--grid 9999x9999", "--grid 9999x9999: 99,980,001 pictures are too many for one page"),
        ("--grid 100x100 --scale 16", "a page of 655 million pixels is too large; choose a smaller --grid"),
        ("--seeds 0-299 --frames 10000 --move 0,0 --video a.gif --centers 0,0", "fewer --frames or --seeds"),
        ("--seeds 1 --scale 0", "0 is out of range"),
        ("--seeds 1 --batch 0", "0 is out of range"),
    ],
)
def test_bad_options(tool: Tool, options: str, complaint: str):
    assert complaint in tool.refuses(options)


@pytest.mark.parametrize(
    "options",
    ["--centers 0,0", "--layout {file}", "--save-layout x.json", "--move 0.1,0", "--show-heatmaps", "--remove 0"],
)
def test_layouts_for_a_model_that_hears_none(tool: Tool, model: Model, tmp_path: Path, options: str):
    save_layout(tmp_path / "one.json", model.layout([0]))
    complaint = tool.refuses(f"--seeds 1 {options}", network="plain", file=tmp_path / "one.json")
    assert options.split()[0] in complaint
    assert "(method stylegan2) takes no layout" in complaint


def test_classes(tool: Tool):
    assert "give a --class: 0 to 2" in tool.refuses("--seeds 1", network="conditional")
    assert "--class 3: the classes are 0 to 2" in tool.refuses("--seeds 1 --class 3", network="conditional")


# ---- classes by name, and whole labels


def with_names(folder: Path, names: list[str], inside: bool) -> Path:
    """A snapshot of 3 classes whose metadata has their names: beside the entry "steergan", or inside it."""
    path = save_tiny_snapshot(folder, classes=3)
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    if inside:
        metadata["steergan"] = json.dumps(json.loads(metadata["steergan"]) | {"class_names": names})
    else:
        metadata["class_names"] = json.dumps(names)
    save_file(tensors, path, {key: value for key, value in metadata.items() if key != "crc32"})
    return path


@pytest.mark.parametrize("inside", [False, True])
def test_a_class_by_its_name(tool: Tool, tmp_path: Path, inside: bool):
    path = with_names(tmp_path, ["cat", "dog", "10"], inside)
    expected = Model.load(path, "cpu").images([1], labels=1)
    assert_alike(tool.made("--seeds 1 --class dog", network=str(path))["seed0001.png"], pixels(expected)[0])
    by_number = tool.made("--seeds 1 --class 1", network=str(path))["seed0001.png"]
    assert_alike(by_number, pixels(expected)[0])
    named_10 = Model.load(path, "cpu").images([1], labels=2)
    assert_alike(tool.made("--seeds 1 --class 10", network=str(path))["seed0001.png"], pixels(named_10)[0])


def test_class_names_are_printed_where_one_is_needed(tool: Tool, tmp_path: Path):
    path = str(with_names(tmp_path, ["cat", "dog", "10"], inside=True))
    assert "give a --class: 0 cat, 1 dog, 2 10" in tool.refuses("--seeds 1", network=path)
    assert "did you mean 'dog'?" in tool.refuses("--seeds 1 --class dogg", network=path)


def test_a_name_of_two_classes_is_refused(tool: Tool, tmp_path: Path):
    path = str(with_names(tmp_path, ["crane", "dog", "crane"], inside=True))
    assert "2 classes are called so; give a number: [0, 2]" in tool.refuses("--seeds 1 --class crane", network=path)


def test_a_whole_label(tool: Tool, runs: Path):
    made = tool.made("--seeds 1 --class 0.5,-1,2", network="conditional")
    expected = Model.load(runs / "conditional", "cpu").images([1], labels=torch.tensor([[0.5, -1, 2]]))
    assert_alike(made["seed0001.png"], pixels(expected)[0])


@pytest.mark.parametrize("label", ["1,2", "1,2,nan", "1,2,x", "-1", "1.5", "9" * 5000, "1e5"])
def test_labels_that_are_none(tool: Tool, label: str):
    complaint = tool.refuses(f"--seeds 1 --class={label}", network="conditional")
    assert "--class" in complaint
    assert "3" in complaint or "0 to 2" in complaint


@pytest.mark.parametrize("names", [["a"], ["a", 1, None], {"a": 1}, "abc", [["a"], "b", "c"]])
def test_names_that_are_none_are_passed_over(tool: Tool, tmp_path: Path, names: object):
    assert "0 to 2" in tool.refuses("--seeds 1", network=str(with_names(tmp_path, names, inside=False)))


# ---- size, kinds, places


def test_small_pictures_are_enlarged(tool: Tool, model: Model):
    made = tool.made("--seeds 1 --scale 3")["seed0001.png"]
    assert_alike(made, pixels(model.images([1]))[0].repeat(3, axis=0).repeat(3, axis=1))
    assert tool.made("--grid 2x1 --scale 8")["grids/grid.png"].shape == (128, 256 + grids.GAP, 3)


def test_a_seed_that_is_there_again_gets_a_file_of_its_own(tool: Tool, model: Model, tmp_path: Path):
    own = model.layout([7])
    layouts = [own, own.moved(0, 0, 0.3, 0.0), own.moved(0, 0, 0.6, 0.0)]
    save_layout(tmp_path / "three.json", concatenate(layouts))
    made = tool.made("--seeds 7,7,7 --layout {file}", file=tmp_path / "three.json")
    assert list(made) == ["seed0007-2.png", "seed0007-3.png", "seed0007.png"]
    for name, layout in zip(("seed0007", "seed0007-2", "seed0007-3"), layouts, strict=True):
        assert_alike(made[f"{name}.png"], pixels(model.images([7], layout=layout))[0])


@pytest.mark.parametrize(
    "files", ["--save-layout /dev/stdout", "--centers 0,0 --move 0.1,0 --video {f} --save-layout {f}"]
)
def test_files_that_cannot_both_be_written_are_refused_before_any_is(tool: Tool, tmp_path: Path, files: str):
    message = tool.refuses(f"--seeds 1 {files}", f=tmp_path / "v.gif")
    assert "a device or a pipe" in message or "two files are to have this name" in message


@pytest.mark.parametrize("option", ["--save-layout {file}", "--centers 0,0 --move 0.1,0 --video {file}"])
def test_a_directory_where_a_file_should_go(tool: Tool, tmp_path: Path, option: str):
    (tmp_path / "there.gif").mkdir()
    assert "this is a directory" in tool.refuses(f"--seeds 1 {option}", file=tmp_path / "there.gif")


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tool: Tool, monkeypatch: pytest.MonkeyPatch):
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write(path, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    moving = "--seeds 1 --centers 0,0 --move 0.1,0"
    others = ["--seeds 1", "--seeds 1 --save-layout {file}", "--grid 1x1"]
    for options in [*others, moving, f"{moving} --video {{file}}.gif"]:
        result = tool(options, file=tool.out / "layout.json")
        assert result.exit_code == 2, options
        assert result.stderr.splitlines()[-1].startswith("Error: ")
        assert "no space left on device; make room" in result.stderr
        assert not [path for path in tool.out.rglob("*") if path.is_file()]


def test_latents_that_are_damaged_or_not_finite(tool: Tool, tmp_path: Path):
    file = tmp_path / "fixed.npz"
    np.savez(file, z=np.full([1, 8], np.nan))
    assert "not finite" in tool.refuses("--latents {file}", file=file)
    np.savez(file, z=np.float32(1))
    assert "needs one array named" in tool.refuses("--latents {file}", file=file)
    np.savez(file, z=np.array(["a", "b"]))
    assert "not a readable .npz" in tool.refuses("--latents {file}", file=file)
    np.savez(file, z=np.zeros([0, 8]))
    assert "N at least 1" in tool.refuses("--latents {file}", file=file)


def test_missing_network(tool: Tool):
    assert "no such file" in tool.refuses("--seeds 1", network="elsewhere")


def test_truncated_checkpoint(tool: Tool, tmp_path: Path):
    path = save_tiny_snapshot(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "perhaps cut short" in tool.refuses("--seeds 1", network=str(path))


def test_layout_for_another_method(tool: Tool, runs: Path, tmp_path: Path):
    save_layout(tmp_path / "other.json", Model.load(runs / "other", "cpu").layout([0]))
    complaint = tool.refuses("--seeds 1 --layout {file}", file=tmp_path / "other.json")
    assert "other.json has 1/1/1 centres" in complaint
    assert "another method" in complaint


def test_too_many_layouts(tool: Tool, model: Model, tmp_path: Path):
    save_layout(tmp_path / "two.json", model.layout([0, 1]))
    complaint = tool.refuses("--seeds 1-3 --layout {file}", file=tmp_path / "two.json")
    assert "two.json holds 2 layouts for 3 pictures" in complaint


def test_layout_file_with_a_centre_outside(tool: Tool, model: Model, tmp_path: Path):
    layout = model.layout([0])
    x = layout.centers[0][0, 0, 0].item()
    save_layout(tmp_path / "far.json", layout.moved(0, 0, 1.5 - x, 0.0))
    assert "outside [-1, 1]" in tool.refuses("--seeds 1 --layout {file}", file=tmp_path / "far.json")


def test_files_of_another_kind(tool: Tool, tmp_path: Path):
    write_json(tmp_path / "some.json", {"format": "something else"})
    assert "not a layout file" in tool.refuses("--seeds 1 --layout {file}", file=tmp_path / "some.json")
    assert "not a readable snapshot" in tool.refuses("--seeds 1", network=str(tmp_path / "some.json"))
    assert "not a readable .npz" in tool.refuses("--latents {file}", file=tmp_path / "some.json")


def test_latents_that_do_not_fit(tool: Tool, tmp_path: Path):
    file = tmp_path / "fixed.npz"
    np.savez(file, w=np.zeros([2, 5, 8]))
    complaint = tool.refuses("--latents {file}", file=file)
    assert "fixed.npz: ws must have the shape [N, 6, 8] for this model, not [2, 5, 8]" in complaint
    np.savez(file, w=np.zeros([2, 6, 8]))
    assert "2 latents for 3 pictures" in tool.refuses("--latents {file} --seeds 0-2", file=file)
    assert "cannot be combined" in tool.refuses("--latents {file} --trunc 0.5", file=file)


def test_unwritable_places(tool: Tool, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    for option in ("--save-layout {way}/x.json", "--move 0,0 --video {way}/x.gif"):
        result = tool(f"--seeds 1 --centers 0,0 {option}", way=tmp_path / "file")
        assert result.exit_code == 2
        assert f"{tmp_path / 'file'} is a file; choose another one" in result.stderr
        assert not list(tmp_path.glob("out/*"))
    tool.out = tmp_path / "file" / "out"
    assert "cannot write to directory" in tool.refuses("--seeds 1")


def test_mp4_without_an_encoder(tool: Tool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert "imageio-ffmpeg" in tool.refuses("--seeds 1 --move 0,0 --video a.mp4")


# ---- label maps and captions


@pytest.fixture(scope="module")
def conditioned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run directories of "spade" (32x32, classes background, ball, cone) and "stackgan" (words a, ball, left, of)."""
    folders = {}
    for backbone in CONDITIONED:
        of = conditioned_config(backbone, None)
        networks, folder = make_networks(of), tmp_path_factory.mktemp(backbone)
        save_snapshot(folder / snapshot_name(1), of, 1, {"G": networks.G, "G_ema": networks.G, "D": networks.D})
        folders[backbone] = folder
    return folders


def test_a_text(tool: Tool, conditioned: dict[str, Path]):
    made = tool.made("--seeds 1 --text=Ball,left,of,a,ball", network=str(conditioned["stackgan"]))
    row = torch.tensor([[2.0, 3, 4, 1, 2, 0]])
    expected = Model.load(conditioned["stackgan"], "cpu").images([1], labels=row)
    assert_alike(made["seed0001.png"], pixels(expected)[0])


def test_a_label_map_of_a_file_and_of_discs(tool: Tool, conditioned: dict[str, Path], tmp_path: Path):
    classes = np.zeros([32, 32], dtype=np.uint8)
    classes[15:17, 15:17] = 2
    Image.fromarray(classes).save(tmp_path / "map.png")
    network = str(conditioned["spade"])
    expected = Model.load(network, "cpu").images([1], labels=torch.from_numpy(classes).reshape(1, -1).float())
    made = tool.made("--seeds 1 --label-map {map}", network=network, map=tmp_path / "map.png")
    assert_alike(made["seed0001.png"], pixels(expected)[0])
    made = tool.made("--seeds 1 --label-map=cone:0,0,0.05", network=network)
    assert_alike(made["seed0001.png"], pixels(expected)[0])


@pytest.mark.parametrize(
    ("network", "options", "said"),
    [
        ("stackgan", "", "this model makes images of a text; give one"),
        ("stackgan", "--text=bal", "the word bal; did you mean 'ball'?"),
        ("stackgan", "--text=ball --class=1", "--class: this model makes images of a text"),
        ("stackgan", "--text=ball --label-map=ball:0,0,1", "--label-map: this model (method"),
        ("spade", "", "this model makes images of a label map; give"),
        ("spade", "--label-map=tree:0,0,1", "there is no class tree"),
        ("spade", "--label-map=missing.png", "--label-map missing.png: cannot be read"),
        ("spade", "--text=ball", "--text: this model (method"),
    ],
)
def test_conditions_that_are_refused(tool: Tool, conditioned: dict[str, Path], network: str, options: str, said: str):
    assert said in tool.refuses(f"--seeds 1 {options}", network=str(conditioned[network]))


@pytest.mark.parametrize("option", ["--text=a", "--label-map=a:0,0,1"])
@pytest.mark.parametrize("network", ["plain", "conditional"])
def test_models_without_such_conditions(tool: Tool, option: str, network: str):
    assert f"{option.split('=')[0]}: this model" in tool.refuses(f"--seeds 1 {option}", network=network)
