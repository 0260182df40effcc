"""What a mixed picture is made of."""

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from tests.training.networks.lineage import lineage_config
from tests.training.saved import save_snapshot
from tests.training.small import make_networks
from training.figures.attention import attention
from training.figures.cells import image_cells
from training.figures.features import features_figure
from training.figures.mixing import mixing_figure
from training.figures.subject import ModelUnderStudy
from training.networks.growing import set_level
from training.runs.snapshot import snapshot_name


@pytest.mark.parametrize(
    "backbone, middle, caption",
    [
        ("stylegan2", slice(3, 5), "coarse: layers 0 to 2, middle: layers 3 to 4, fine: layers 5 to 7."),
        ("stylegan", slice(4, 6), "coarse: layers 0 to 3, middle: layers 4 to 5, fine: layers 6 to 7."),
    ],
)
def test_a_cell_has_the_styles_of_its_column_in_some_layers(tmp_path, backbone, middle, caption):
    of = lineage_config(backbone, c_dim=2)
    networks = make_networks(of)
    save_snapshot(tmp_path / snapshot_name(1), of, 1, {"G": networks.G, "G_ema": networks.G, "D": networks.D})
    subject = ModelUnderStudy(tmp_path, "cpu")
    table = mixing_figure(subject, [0, 1], [2, 3, 4])
    assert [len(group.rows) for group in table.groups] == [1, 2, 2, 2]
    assert [group.label for group in table.groups[1:]] == ["coarse styles", "middle styles", "fine styles"]
    ws = subject.model.styles([1, 4], labels=torch.tensor([[0.0, 1], [1, 0]]))
    ws[0, middle] = ws[1, middle]
    expected = image_cells(subject.model.images([1], ws=ws[:1]))[0]
    cell = table.groups[2].rows[1].cells[3]
    assert np.abs(cell.astype(int) - expected.astype(int)).max() <= 1
    assert table.caption.endswith(caption)


def test_what_has_not_grown_yet_is_said(tmp_path):
    of = lineage_config("progan", None)
    networks = make_networks(of)
    for network in (networks.G, networks.D):
        set_level(network, 1.5)
    save_snapshot(tmp_path / snapshot_name(1), of, 1, {"G": networks.G, "G_ema": networks.G, "D": networks.D})
    subject = ModelUnderStudy(tmp_path, "cpu")
    assert subject.generated([0]).images.shape == (1, 3, 32, 32)
    with pytest.raises(UserError, match="not grown to features of 32x32 yet; give a later snapshot"):
        features_figure([subject])
    with pytest.raises(UserError, match="not grown to features of 16x16 yet"):
        attention(subject.D, subject.generated([0, 1, 2, 3]), of.align, [16, 8, 4])
