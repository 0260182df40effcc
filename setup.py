"""All metadata is in pyproject.toml. This adds one switch: native operators built ahead of time, into the wheel.

    STEERGAN_AOT=1 pip install --no-build-isolation .

The library serves machines with the same torch, processor features and (for CUDA) GPUs; others build their own.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

if TYPE_CHECKING:
    from torch_utils.native.toolchain import Device

AHEAD_OF_TIME = os.environ.get("STEERGAN_AOT") == "1"


class BuildWithOperators(build_py):
    """Copies the libraries of this machine's devices into the package."""

    def run(self) -> None:
        super().run()
        if AHEAD_OF_TIME:
            sys.path.insert(0, str(Path(__file__).parent))
            from torch_utils.native.doctor import devices

            for device in devices():
                self._add(device)

    def _add(self, device: "Device") -> None:
        """A library and its digest, without which it would count as damaged."""
        from torch_utils.native.integrity import digest_file
        from torch_utils.native.loader import ToolError, library

        try:
            built = library(device, retry=True)
        except ToolError as error:
            sys.exit(f"STEERGAN_AOT=1: no library for {device}: {error.cause}; {error.cure}")
        target = Path(self.build_lib, "torch_utils", "native", "prebuilt", built.parent.name)
        target.mkdir(parents=True, exist_ok=True)
        for path in (built, digest_file(built)):
            shutil.copy2(path, target)


class PlatformDistribution(Distribution):
    """A wheel with libraries is one for this platform only."""

    def has_ext_modules(self) -> bool:
        return AHEAD_OF_TIME


setup(cmdclass={"build_py": BuildWithOperators}, distclass=PlatformDistribution)
