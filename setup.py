"""All metadata is in pyproject.toml. This adds one switch: native operators built ahead of time, into the wheel.

    STEERGAN_AOT=1 pip install --no-build-isolation .

The library serves machines with the same torch, processor features and (for CUDA) GPUs; others build their own.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

AHEAD_OF_TIME = os.environ.get("STEERGAN_AOT") == "1"


class BuildWithOperators(build_py):
    """Copies the libraries of this machine's devices into the package."""

    def run(self):
        super().run()
        if AHEAD_OF_TIME:
            sys.path.insert(0, str(Path(__file__).parent))
            from torch_utils.native.doctor import devices
            from torch_utils.native.loader import library

            for library_file in (library(device, retry=True) for device in devices()):
                target = Path(self.build_lib, "torch_utils", "native", "prebuilt", library_file.parent.name)
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(library_file, target)


class PlatformDistribution(Distribution):
    """A wheel with libraries is one for this platform only."""

    def has_ext_modules(self):
        return AHEAD_OF_TIME


setup(cmdclass={"build_py": BuildWithOperators}, distclass=PlatformDistribution)
