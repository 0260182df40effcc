"""Reads the golden vectors: numbers that another implementation produced, and ours has to meet.

The folder is the one named by the environment variable GOLDEN_DIR, else tests/golden/data. Another folder has the
same file names and other cases; nothing here or in the tests counts cases or knows them by number. A file that is
missing fails every test that needs it. What the files hold is told by tests/golden/data/README.md.
"""

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.networks.reference_names import translate

FOLDER = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parent / "data")
MEMORY_FORMATS = [
    pytest.param(torch.contiguous_format, id="contiguous"),
    pytest.param(torch.channels_last, id="channels_last"),
]


@dataclass(frozen=True)
class Case:
    """One case of a file: its scalars in `params`, its arrays by name."""

    file: str
    number: int
    params: dict[str, Any]

    def __contains__(self, name: str) -> bool:
        return self._key(name) in _arrays(self.file).files

    def __getitem__(self, name: str) -> Tensor:
        return _tensor(self.file, self._key(name))

    def get(self, name: str) -> Tensor | None:
        return _tensor(self.file, self._key(name)) if name in self else None

    def common(self, name: str) -> Tensor:
        """An array that all cases of the file share."""
        return _tensor(self.file, name)

    def group(self, prefix: str) -> dict[str, Tensor]:
        """{name: array} of the case's arrays called prefix/name, without the float64 ones."""
        return self.common_group(self._key(prefix))

    def common_group(self, prefix: str) -> dict[str, Tensor]:
        """The same of arrays that all cases of the file share."""
        start = prefix + "/"
        names = [key.removeprefix(start) for key in _arrays(self.file).files if key.startswith(start)]
        chosen = [name for name in names if not name.endswith("64") or name[:-2] not in names]
        return {name: _tensor(self.file, start + name) for name in chosen}

    def common_text(self, name: str) -> str:
        return str(_arrays(self.file)[name])

    def _key(self, name: str) -> str:
        return f"case{self.number:02d}_{name}"


def every_case(file: str, name: Callable[[dict], str] = lambda params: "") -> pytest.MarkDecorator:
    """Run a test once for each case of `file`; `name` makes a readable id of a case's scalars."""
    path = FOLDER / file
    if not path.is_file():
        return pytest.mark.parametrize("case", [pytest.param(path, id="missing")], indirect=True)
    cases = [Case(file, number, params) for number, params in enumerate(json.loads(str(_arrays(file)["meta"])))]
    params = [pytest.param(case, id=f"{case.number:02d}-{name(case.params)}".strip("-")) for case in cases]
    return pytest.mark.parametrize("case", params, indirect=True)


def every_entry(file: str, *keys: str) -> pytest.MarkDecorator:
    """Run a test once for each {"args": ...} entry of the lists `keys` in a JSON file."""
    path = FOLDER / file
    if not path.is_file():
        return pytest.mark.parametrize("case", [pytest.param(path, id="missing")], indirect=True)
    document = read(file)
    params = [pytest.param(entry, id=words(entry["args"].values())) for key in keys for entry in document[key]]
    return pytest.mark.parametrize("case", params, indirect=True)


def read(file: str) -> Any:
    """A JSON file. Fails the test when it is missing."""
    path = FOLDER / file
    if not path.is_file():
        pytest.fail(f"golden file {path} is missing", pytrace=False)
    return json.loads(path.read_text(encoding="utf-8"))


def words(values: Iterable[Any]) -> str:
    """Values as a test id."""
    return "-".join(str(value).replace(" ", "") for value in values)


# ---- comparing


def assert_close(actual: Tensor | None, expected: Tensor, rel: float, what: str = "", absolute: float = 0.0) -> None:
    """Fail unless max|actual - expected| <= rel * max|expected| + absolute.

    None means a gradient of zero. Where `expected` is all zero, `rel` is an absolute limit.
    """
    assert actual is not None or not expected.any(), f"{what}: no value"
    if actual is None:
        return
    assert actual.shape == expected.shape, f"{what}: shape {list(actual.shape)}, expected {list(expected.shape)}"
    if expected.numel() == 0:
        return
    expected = expected.double()
    worst = (actual.detach().double() - expected).abs().max().item()
    scale = expected.abs().max().item() or 1.0
    assert worst <= rel * scale + absolute, f"{what}: off by {worst:.3g} of {scale:.3g}; allowed is {rel:g}"


def assert_close_to_case(case: Case, name: str, actual: Tensor | None, rel: float, absolute: float = 0.0) -> None:
    """Compare with the case's array `name`, and with its float64 version where there is one."""
    assert_close(actual, case[name], rel, name, absolute)
    if f"{name}64" in case:
        assert_close(actual, case[f"{name}64"], rel, f"{name}64", absolute)


# ---- networks


def translated(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the reference under our names."""
    return {ours: tensor for theirs, tensor in state.items() if (ours := translate(theirs)) is not None}


def load(network: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """Fill a network from a state dict of the reference."""
    network.load_state_dict(translated(state))
    return network


def assert_close_gradients(network: nn.Module, case: Case, rel: float, absolute: float = 0.0) -> None:
    """Compare the parameters' .grad with the case's gradients, which go by the reference's names."""
    parameters = dict(network.named_parameters())
    for name in case.group("grad"):
        assert_close_to_case(case, f"grad/{name}", parameters[translate(name)].grad, rel, absolute)


def rounded_gain(gain: float) -> bool:
    """Whether a filter times `gain` is inexact in float32, where even float64 results then agree to 1e-7 only."""
    return not np.log2(gain).is_integer()


@functools.cache
def _arrays(file: str) -> np.lib.npyio.NpzFile:
    return np.load(FOLDER / file, allow_pickle=False)


def _tensor(file: str, key: str) -> Tensor:
    return torch.from_numpy(_arrays(file)[key].copy())
