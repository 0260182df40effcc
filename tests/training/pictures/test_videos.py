"""Videos: frames in, the same frames out; one clear line when there is no encoder."""

import sys
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
from PIL import Image

from dnnlib.errors import UserError
from tests.optional import is_installed
from training.pictures.videos import check_video, save_video

FRAMES = [np.full([34, 66, 3], value, np.uint8) for value in (0, 90, 180, 250)]
needs_ffmpeg = pytest.mark.skipif(not is_installed("imageio_ffmpeg"), reason="no imageio-ffmpeg")


def test_gif(tmp_path: Path):
    path = save_video(tmp_path / "move.gif", FRAMES, frames_per_second=5)
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["duration"], image.info["loop"]) == (4, (66, 34), 200, 0)
        image.seek(2)
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - 180).max() < 8
    assert list(tmp_path.iterdir()) == [path]


@needs_ffmpeg
def test_mp4(tmp_path: Path):
    path = save_video(tmp_path / "move.mp4", FRAMES)
    frames = imageio.v3.imread(path, plugin="FFMPEG")
    assert frames.shape == (4, 34, 66, 3)
    assert np.abs(frames[2].astype(int) - 180).max() < 20
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["move.avi", "move", "gif"])
def test_unknown_kinds(tmp_path: Path, name: str):
    with pytest.raises(UserError, match=r"videos are \.gif or \.mp4 files"):
        check_video(tmp_path / name)


def test_mp4_without_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match="MP4 needs the package imageio-ffmpeg"):
        save_video(tmp_path / "move.mp4", FRAMES)
    check_video(tmp_path / "move.gif")
    assert list(tmp_path.iterdir()) == []
