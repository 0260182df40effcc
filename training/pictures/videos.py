"""Videos: uint8 frames to GIF or MP4."""

from collections.abc import Sequence
from pathlib import Path

import imageio.v3
import numpy as np

from dnnlib.errors import UserError
from dnnlib.files import atomic_path

SUFFIXES = (".gif", ".mp4")


def check_video(path: str | Path) -> None:
    """Raises UserError when a video of that name cannot be made here: an unknown suffix, or no encoder for MP4."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: videos are .gif or .mp4 files, not '{suffix}'")
    if suffix == ".mp4" and not _has_ffmpeg():
        raise UserError(f"{path}: MP4 needs the package imageio-ffmpeg (pip install imageio-ffmpeg); or write a .gif")


def save_video(path: str | Path, frames: Sequence[np.ndarray], frames_per_second: float = 10) -> Path:
    """Write frames uint8 [H, W, 3] of one even size, atomically; a GIF repeats for ever. Returns the path.

    Raises UserError as check_video does.
    """
    check_video(path)
    with atomic_path(path) as temporary:
        if temporary.suffix.lower() == ".gif":
            milliseconds = 1000 / frames_per_second
            imageio.v3.imwrite(temporary, frames, plugin="pillow", duration=milliseconds, loop=0)
        else:
            # By default the encoder stretches frames to multiples of 16 pixels; 2 is all that its colours need.
            imageio.v3.imwrite(temporary, frames, plugin="FFMPEG", fps=frames_per_second, macro_block_size=2)
    return Path(path)


def _has_ffmpeg() -> bool:
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return False
    return True
