"""style_mixing.py: which layers are meant, and what a cell of the table shows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dnnlib.errors import UserError
from editing.style_mixing import mixed, mixing_grid, parse_layers
from style_mixing import main
from tests.tiny_models import save_tiny_snapshot, tiny_model
from tests.training.networks.lineage import generator, lineage_config
from training.pictures.grids import to_cells
from training.sampling import Model


def test_layers_by_name_and_number():
    model = tiny_model(resolution=16)  # 4, 8, 8, 16, 16 and the last to_rgb
    assert [parse_layers(kind, model) for kind in ("coarse", "middle", "fine")] == [[0], [1, 2], [3, 4, 5]]
    assert parse_layers("0,2-3", model) == [0, 2, 3]
    for wrong in ("6", "rough"):
        with pytest.raises(UserError):
            parse_layers(wrong, model)


@pytest.mark.parametrize("backbone", ["biggan", "progan", "r3gan"])
def test_one_latent_for_all_layers_cannot_be_mixed(backbone: str):
    for layers in ("coarse", "0"):
        with pytest.raises(UserError, match=f"backbone {backbone} has one latent for all layers"):
            parse_layers(layers, lineage_model(backbone))


def lineage_model(backbone: str) -> Model:
    config = lineage_config(backbone, None)
    return Model(generator(config), config, "cpu")


def test_only_the_chosen_layers_change():
    a, b = torch.zeros(2, 4, 3), torch.ones(2, 4, 3)
    assert mixed(a, b, [1, 3]).sum((0, 2)).tolist() == [0, 6, 0, 6]


@pytest.mark.parametrize("method", ["spatialgan", "spatialgan-indoor", "stylegan2"])
def test_a_cell_is_the_row_with_the_columns_layers(method: str):
    model = tiny_model(method)
    grid = mixing_grid(model, [0, 1], [2, 3, 4], "middle")
    ws = mixed(model.styles([1]), model.styles([4]), [1, 2])
    cell = to_cells(model.images([1], ws=ws))[0]
    side = len(cell) + 2
    shown = grid[2 * side : 2 * side + len(cell), 3 * side : 3 * side + len(cell)]
    assert np.abs(shown.astype(int) - cell).max() <= 1


def test_a_class_by_name_and_number(tmp_path: Path):
    save_tiny_snapshot(tmp_path, classes=3)
    fixed = ["--network", str(tmp_path), "--rows", "0", "--cols", "1", "--device", "cpu", "--layers", "0"]
    for number, text in enumerate(["1", "0,1,0"]):
        given = ["--class", text, "--outdir", str(tmp_path / str(number))]
        assert CliRunner().invoke(main, [*fixed, *given]).exit_code == 0
    assert (tmp_path / "0" / "grid.png").read_bytes() == (tmp_path / "1" / "grid.png").read_bytes()
    for wrong in ([], ["--class=3"], ["--class=" + "9" * 30], ["--class=-1"], ["--class=0,nan,0"]):
        refused = CliRunner().invoke(main, [*fixed, *wrong, "--outdir", str(tmp_path / "new")])
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1), wrong


def test_the_command(tmp_path: Path):
    (tmp_path / "run").mkdir()
    save_tiny_snapshot(tmp_path / "run")
    fixed = ["--network", str(tmp_path / "run"), "--rows", "0", "--cols", "1,2", "--device", "cpu"]
    assert CliRunner().invoke(main, [*fixed, "--outdir", str(tmp_path / "out")]).exit_code == 0
    assert Image.open(tmp_path / "out" / "grid.png").size == (3 * 64 + 2 * 2, 2 * 64 + 2)
    refused = CliRunner().invoke(main, [*fixed, "--outdir", str(tmp_path / "new"), "--layers", "rough"])
    assert (refused.exit_code, (tmp_path / "new").exists()) == (2, False)
