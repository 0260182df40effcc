"""The CUDA kernels without a GPU: compiled for the CPU with emulation/, they have to pass what test_gpu.py asks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

from torch_utils.native.cache import SOURCES

ROOT = Path(__file__).parents[3]
EMULATION = Path(__file__).with_name("emulation")
LAUNCH = re.compile(r"(\w+(?:<[\w, ]+>)?)<<<(\w+), kThreads, 0, stream>>>\(([^;]*)\);")
REGISTERED = {
    "#define STEERGAN_DEVICE CUDA": "#define STEERGAN_DEVICE CPU",
    "#define STEERGAN_AUTOGRAD AutogradCUDA": "#define STEERGAN_AUTOGRAD AutogradCPU",
}
ABI = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
FLAGS = ["-std=c++20", "-O1", "-fPIC", "-mf16c", "-pthread", "-DSTEERGAN_CUDA", ABI]

RUN = """
import itertools, sys, torch
from tests.torch_utils.native import test_gpu as gpu
from torch_utils.native import loader
from torch_utils.ops import selection
torch.ops.load_library(sys.argv[1])
loader._loaded["cpu"] = True
selection.NATIVE_TYPES["cpu"].add(torch.float16)
gpu.DEVICE = "cpu"
formats = [torch.contiguous_format, torch.channels_last]
count = 0
for dtype, layout in itertools.product(gpu.TOLERANCE, formats):
    for shape in gpu.SHAPES[1:5]:
        gpu.test_bias_act_with_everything(shape, dtype, layout)
    for act in ("linear", "swish"):
        gpu.test_every_activation(act, dtype, layout)
    for geometry in gpu.GEOMETRIES:
        gpu.test_upfirdn2d((2, 40, 21, 30), geometry, dtype, layout)
    gpu.test_what_is_no_image((5, 7), dtype)
    gpu.test_gradients_stop_at_the_clamp(dtype)
    count += 1
print("passed", count)
"""


def translate(folder: Path) -> list[Path]:
    """The sources with launches as calls, and the kernels registered for CPU tensors."""
    for path in SOURCES.iterdir():
        text = LAUNCH.sub(r"emulate(\2, kThreads, [&] { \1(\3); });", path.read_text())
        for old, new in REGISTERED.items():
            text = text.replace(old, new)
        (folder / path.name.replace(".cu", ".cu.cpp") if path.suffix == ".cu" else folder / path.name).write_text(text)
    sources = [*folder.glob("*.cu.cpp"), folder / "bindings.cpp", folder / "autograd.cpp"]
    assert not any("<<<" in path.read_text() for path in sources)
    return sources


def compile_all(sources: list[Path], folder: Path) -> Path:
    """A library with the emulated kernels."""
    includes = [f"-I{path}" for path in (EMULATION, folder, *cpp_extension.include_paths())]
    objects = []
    for path in sources:
        as_cuda = ["-D__CUDACC__"] if path.name.endswith(".cu.cpp") else []
        objects.append(f"{path}.o")
        subprocess.run(["c++", *FLAGS, *as_cuda, *includes, "-c", path, "-o", objects[-1]], check=True)
    library = folder / "emulated.so"
    torch_libraries = [f"-L{path}" for path in cpp_extension.library_paths()] + ["-ltorch_cpu", "-lc10"]
    subprocess.run(["c++", "-shared", "-o", library, *objects, *torch_libraries, "-pthread"], check=True)
    return library


@pytest.mark.slow
def test_kernels_on_an_emulated_gpu(tmp_path):
    library = compile_all(translate(tmp_path), tmp_path)
    done = subprocess.run([sys.executable, "-c", RUN, library], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "passed 8"
