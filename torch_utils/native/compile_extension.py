"""Compiles and loads one library in a process of its own: python -P compile_extension.py ARGUMENTS.json

Run by torch_utils.native.build, which ends it when it takes too long. Loading it here as well means that a library
which crashes on loading does so here. Imports nothing of this project.
"""

import json
import sys
from pathlib import Path

from torch.utils import cpp_extension


def main(arguments_file: str) -> None:
    arguments = json.loads(Path(arguments_file).read_text())
    cpp_extension.load(**arguments, is_python_module=False, verbose=True)


if __name__ == "__main__":
    main(sys.argv[1])
