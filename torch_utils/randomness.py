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


def latents(seeds: list[int], z_dim: int) -> Tensor:
    """z [len(seeds), z_dim], row i from seeds[i] (below 2**32) alone: the same in every batch."""
    rows = [torch.randn([z_dim], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


def object_latents(seeds: list[int], objects: int, z_dim: int) -> Tensor:
    """z [len(seeds), objects + 1, z_dim]: the codes of the objects, then the background's.

    A code depends on its seed and on which object it is for, not on how many objects there are.
    """
    names = [*(f"object {i}" for i in range(objects)), "background"]
    return torch.stack([torch.stack([_code(seed, name, z_dim) for name in names]) for seed in seeds])


def _code(seed: int, name: str, z_dim: int) -> Tensor:
    return torch.randn([z_dim], generator=RandomStreams(seed, "cpu")[name])
