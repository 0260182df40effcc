"""Explicit randomness: one seeded torch.Generator per purpose, so that no stream disturbs another."""

import zlib

import torch
from torch import Tensor


class RandomStreams:
    """Named streams of random numbers on one device, made when first asked for.

    Each is seeded by (seed, name, rank). `state_dict` and `load_state_dict` carry them across a restart.
    """

    def __init__(self, seed: int, device: torch.device | str, rank: int | str = 0):
        self.seed, self.rank, self.device = seed, rank, torch.device(device)
        self._streams: dict[str, torch.Generator] = {}

    def __getitem__(self, name: str) -> torch.Generator:
        if name not in self._streams:
            # One number of 32 bits: PyTorch's generator on the CPU does not look at more.
            number = zlib.crc32(f"{self.seed}/{name}/{self.rank}".encode())
            self._streams[name] = torch.Generator(self.device).manual_seed(number)
        return self._streams[name]

    def state_dict(self) -> dict[str, Tensor]:
        """{name: state bytes [n], uint8} of the streams in use."""
        return {name: stream.get_state() for name, stream in self._streams.items()}

    def load_state_dict(self, states: dict[str, Tensor]) -> None:
        for name, state in states.items():
            self[name].set_state(state)
