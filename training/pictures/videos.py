"""Videos: uint8 frames to GIF or MP4."""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np

from dnnlib.errors import UserError, as_user_error
from dnnlib.files import atomic_path, write_by

SUFFIXES = (".gif", ".mp4")


def check_video(path: str | Path) -> None:
    """Raises UserError when a video of that name cannot be made here: an unknown suffix, or no encoder for MP4."""
    suffix = Path(path).suffix.lower()
    if Path(path).is_dir():
        raise UserError(f"{path}: this is a directory; name a .gif or .mp4 file")
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: videos are .gif or .mp4 files, not '{suffix}'")
    if suffix == ".mp4" and not _has_ffmpeg():
        raise UserError(f"{path}: MP4 needs the package imageio-ffmpeg (pip install imageio-ffmpeg); or write a .gif")


def save_video(path: str | Path, frames: Sequence[np.ndarray], frames_per_second: float = 10) -> Path:
    """Write frames uint8 [H, W, 3] of one even size, atomically; a GIF repeats for ever. Returns the path.

    Raises UserError as check_video does.
    """
    check_video(path)
    if Path(path).suffix.lower() == ".gif":
        how: dict[str, Any] = {"plugin": "pillow", "duration": 1000 / frames_per_second, "loop": 0, "extension": ".gif"}
        return write_by(path, lambda file: file.write(imageio.v3.imwrite("<bytes>", list(frames), **how)))
    try:
        with atomic_path(path) as temporary:
            # By default the encoder stretches frames to multiples of 16 pixels; 2 is all that its colours need.
            imageio.v3.imwrite(temporary, frames, plugin="FFMPEG", fps=frames_per_second, macro_block_size=2)
            if _is_full(temporary):  # ffmpeg ends with status 0 all the same
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    except (OSError, RuntimeError) as error:
        raise UserError(_reason(Path(path), error)) from error
    return Path(path)


def _is_full(path: Path) -> bool:
    return shutil.disk_usage(path.parent).free < 4096


def _reason(path: Path, error: Exception) -> str:
    """ffmpeg, another program, says of a full disk only that it is gone."""
    said = as_user_error(error)
    if _is_full(path) or said is None:
        return f"{path}: the encoder could not write it; is the disk full?"
    return str(said)


def _has_ffmpeg() -> bool:
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return False
    return True
