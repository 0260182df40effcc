"""Snapshot files: bit-exact, found in run directories, refused in one line, and free of code."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dnnlib.errors import UserError
from tests.training.saved import save_snapshot
from tests.training.small import make_layout, make_networks, real_images, run_config
from training.config import RunConfig
from training.networks.generator import set_memory_format
from training.runs.snapshot import VERSION, drop_old_snapshots, find_snapshot, open_snapshot, snapshot_name, snapshots


def networks(config: RunConfig) -> dict[str, torch.nn.Module]:
    made, averaged = make_networks(config), make_networks(config).G
    averaged.mapping.w_avg.fill_(0.1)
    return {"G": made.G, "G_ema": averaged, "D": made.D}


@pytest.fixture
def config() -> RunConfig:
    return run_config(loss={"r1_gamma": 0.1 + 0.2}, seed=7)


@pytest.fixture
def saved(config: RunConfig, tmp_path: Path) -> Path:
    path = tmp_path / snapshot_name(1.5)
    save_snapshot(path, config, 1.5, networks(config))
    return path


# ---- round trip


def test_everything_comes_back_bit_for_bit(saved: Path, config: RunConfig):
    snapshot, original = open_snapshot(saved), networks(config)
    assert snapshot.config == config
    assert snapshot.kimg == 1.5
    found = {"G": snapshot.generator("G"), "G_ema": snapshot.generator(), "D": snapshot.discriminator()}
    for name, network in found.items():
        expected = original[name].state_dict()
        assert list(network.state_dict()) == list(expected)
        assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())


def test_loaded_networks_give_the_same_results_and_do_not_learn(saved: Path, config: RunConfig):
    snapshot, original, z = open_snapshot(saved), networks(config), torch.ones(4, 8)
    G, D = snapshot.generator(), snapshot.discriminator()
    assert torch.equal(G(z, layout=make_layout()), original["G_ema"](z, layout=make_layout()))
    assert torch.equal(D(real_images()).logits, original["D"](real_images()).logits)
    for network in (G, D):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_memory_format_makes_no_difference(config: RunConfig, saved: Path, tmp_path: Path):
    nets = networks(config)
    for network in nets.values():
        set_memory_format(network, True)
    save_snapshot(tmp_path / "last.safetensors", config, 1.5, nets)
    assert (tmp_path / "last.safetensors").read_bytes() == saved.read_bytes()


def test_nothing_else_is_left_in_the_directory(saved: Path):
    assert list(saved.parent.iterdir()) == [saved]


def test_loading_leaves_the_file_as_it_was(saved: Path):
    before = saved.read_bytes()
    open_snapshot(saved).generator()
    assert saved.read_bytes() == before


# ---- finding


@pytest.mark.parametrize(
    "kimg, number", [(0, "000000"), (125, "000125"), (125.4, "000125.400"), (0.016, "000000.016"), (1e6, "1000000")]
)
def test_names_count_thousands_of_images(kimg: float, number: str):
    assert snapshot_name(kimg) == f"network-snapshot-{number}.safetensors"


def test_a_run_directory_means_its_newest_snapshot(saved: Path, config: RunConfig):
    newer = saved.parent / snapshot_name(200)
    save_snapshot(newer, config, 200, networks(config))
    (saved.parent / "stats.jsonl").write_text("{}\n")
    assert find_snapshot(saved.parent) == newer
    assert open_snapshot(saved.parent).kimg == 200


@pytest.mark.parametrize("name, message", [("nowhere.safetensors", "no such file"), ("", "no network-snapshot-")])
def test_missing_snapshots_are_refused(name, message, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        open_snapshot(tmp_path / name)


# ---- damaged and foreign files


def assert_refused(path: Path, message: str) -> None:
    """Opening is refused in one line that starts with the path."""
    with pytest.raises(UserError, match=message) as caught:
        open_snapshot(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_text_is_called_one(tmp_path: Path):
    (tmp_path / "README.md").write_text("# A page\n\nof words")
    assert_refused(tmp_path / "README.md", "not a readable snapshot, it is a text")


@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.01, 0.5, 0.999])
def test_truncated_files_are_refused(saved: Path, kept: float):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * kept)])
    assert_refused(saved, "not a readable snapshot, perhaps cut short")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_of_others_are_refused(metadata, tmp_path: Path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors", metadata)
    assert_refused(tmp_path / "other.safetensors", "not a snapshot of this project")


def with_about(tmp_path: Path, about: dict | list) -> Path:
    path = tmp_path / "about.safetensors"
    save_file({"weight": torch.zeros(2)}, path, {"steergan": json.dumps(about)})
    return path


def test_newer_versions_are_refused(tmp_path: Path):
    about = {"version": VERSION + 1, "kimg": 1, "config": {}}
    assert_refused(with_about(tmp_path, about), f"version {VERSION + 1} is newer than this program")


def test_configurations_that_are_not_understood_are_refused(tmp_path: Path, config: RunConfig):
    about = {"version": VERSION, "kimg": 1, "config": {**config.model_dump(mode="json"), "colour": "red"}}
    message = "configuration is not understood: colour: Extra inputs are not permitted"
    assert_refused(with_about(tmp_path, about), message)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, config: RunConfig):
    about = {"version": VERSION, "kimg": 1, "config": config.model_dump(mode="json")}
    with pytest.raises(UserError, match="the weights of G_ema do not fit its configuration") as caught:
        open_snapshot(with_about(tmp_path, about)).generator()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("about", [{}, [], {"version": "1"}, {"version": VERSION}], ids=str)
def test_descriptions_without_the_needed_entries_are_refused(about, tmp_path: Path):
    assert_refused(with_about(tmp_path, about), "snapshot|configuration")


def test_descriptions_that_are_no_json_are_refused(tmp_path: Path):
    path = tmp_path / "about.safetensors"
    save_file({"weight": torch.zeros(2)}, path, {"steergan": "{"})
    assert_refused(path, "snapshot")


# ---- no code


def test_a_snapshot_is_a_plain_safetensors_file(saved: Path):
    """Eight bytes of length, a JSON header, and numbers that fill the rest exactly."""
    data = saved.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header.pop("__metadata__")["steergan"])
    assert set(about) >= {"version", "kimg", "config"}
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(data) - 8 - length


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("write", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_a_pickle_in_disguise_is_refused_and_not_run(write, tmp_path: Path):
    target, path = tmp_path / "executed", tmp_path / "network-snapshot-000001.safetensors"
    with path.open("wb") as file:
        write(Bomb(target), file)
    assert_refused(path, "not a readable snapshot")
    assert not target.exists()


# ---- which are kept


def test_the_newest_the_first_and_the_best_are_kept(config: RunConfig, tmp_path: Path):
    kept = networks(config)
    for kimg in (0, 0.016, 0.032, 1, 2.5, 4):
        save_snapshot(tmp_path / snapshot_name(kimg), config, kimg, kept)
    drop_old_snapshots(tmp_path, None, 4)
    assert list(snapshots(tmp_path)) == [0, 0.016, 0.032, 1, 2.5, 4]
    drop_old_snapshots(tmp_path, 1, 2.5, snapshot_name(0.016))
    assert list(snapshots(tmp_path)) == [0, 0.016, 2.5, 4], "later ones are of a run that was passed over"


# ---- damaged ones in a run


def flip_a_byte(path: Path, where: int = -9) -> None:
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [flip_a_byte, cut_short])
def test_a_damaged_newest_snapshot_is_passed_over_and_named(damage, saved: Path, config: RunConfig, capsys):
    newer = saved.with_name(snapshot_name(2))
    save_snapshot(newer, config, 2, networks(config))
    damage(newer)
    assert find_snapshot(saved.parent) == find_snapshot(saved.parent) == saved
    assert open_snapshot(saved.parent).kimg == 1.5
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"{newer}: ")
    assert said.endswith(f"; taking {saved.name}")


def test_a_run_all_of_whose_snapshots_are_damaged_is_refused(saved: Path, capsys):
    flip_a_byte(saved)
    with pytest.raises(UserError, match=f"^{saved}: damaged, the checksum of "):
        find_snapshot(saved.parent)
    assert capsys.readouterr().err == ""
