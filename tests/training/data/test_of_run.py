"""The real images of a run."""

import pytest

from dnnlib.errors import UserError
from tests.tiny_models import tiny_config
from tests.training.data_samples import picture, write_zip
from training.config import DataConfig
from training.data.of_run import open_data


def config(path, **data):
    return tiny_config().model_copy(update={"data": DataConfig(path=str(path), **data)})


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "a.zip", {f"{n}.png": picture(n, 16) for n in range(6)})


def test_as_in_training(archive):
    dataset = open_data(config(archive, mirror=True, subset=4), None)
    assert (len(dataset), dataset.mirror, dataset.resolution) == (8, True, 16)
    assert len(open_data(config(archive, mirror=True, subset=4), None, mirror=False)) == 4


def test_others_are_taken_whole(archive, tmp_path):
    assert len(open_data(config(tmp_path / "absent.zip", subset=4), str(archive))) == 6


def test_data_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(UserError, match="no longer there; say where it is with --data"):
        open_data(config(tmp_path / "absent.zip"), None)
    grey = write_zip(tmp_path / "grey.zip", {"0.png": picture(0, 16, "L")})
    with pytest.raises(UserError, match="images of 1 channel, but the network makes 3"):
        open_data(config(grey), None)
