"""Devices by name."""

import pytest
import torch

from dnnlib.errors import UserError
from torch_utils.devices import choose_device


def test_auto_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == torch.device("cuda")
    with pytest.raises(UserError, match=r"'cuda:1' is not available here \(1 found\)"):
        choose_device("cuda:1")


def test_missing_and_unknown_devices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match="'cuda' is not available here"):
        choose_device("cuda")
    for name in ("toaster", "meta", ""):
        with pytest.raises(UserError, match=f"unknown device '{name}'; use auto, cpu or cuda"):
            choose_device(name)
