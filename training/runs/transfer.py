"""Weights of a snapshot for a new run: what is taken over, and what is not."""

from dataclasses import dataclass

import torch

from dnnlib.words import counted
from training.networks.backbones import Module
from training.runs.snapshot import open_snapshot

LEAST_SHARE = 0.5  # of the weights; a transfer of less is warned of


@dataclass(frozen=True)
class Transfer:
    """How the tensors of a network (`target`) came from those of another (`source`): names of each kind.

    taken: copied. new: those of the target that got none. left: those of the source without a place. share: of what
    the target learns, the part that was copied, 0 to 1.
    """

    taken: list[str]
    new: list[str]
    left: list[str]
    share: float


def copy_matching(source: Module, target: Module) -> Transfer:
    """Copy the tensors whose names and shapes agree."""
    available, wanted = source.state_dict(), target.state_dict()
    taken = [name for name, tensor in wanted.items() if name in available and available[name].shape == tensor.shape]
    with torch.no_grad():
        for name in taken:
            wanted[name].copy_(available[name])
    sizes = {name: parameter.numel() for name, parameter in target.named_parameters()}
    copied = sum(sizes.get(name, 0) for name in taken)
    return Transfer(
        taken=taken,
        new=[name for name in wanted if name not in taken],
        left=[name for name in available if name not in taken],
        share=copied / max(sum(sizes.values()), 1),
    )


def take_weights(path: str, G: Module, G_ema: Module, D: Module) -> list[str]:
    """Copy what fits from a snapshot, network by network. Returns what was done, in lines.

    G begins as G_ema where a file has no other (training/runs/shipped.py).

    Raises UserError when the snapshot is damaged.
    """
    snapshot = open_snapshot(path)
    trained = "G" if "G" in snapshot.networks() else "G_ema"
    done = {
        "G": copy_matching(snapshot.generator(trained), G),
        "G_ema": copy_matching(snapshot.generator("G_ema"), G_ema),
        "D": copy_matching(snapshot.discriminator(), D),
    }
    return [f"weights from {path}", *(line for name, transfer in done.items() for line in report(name, transfer))]


def report(name: str, transfer: Transfer) -> list[str]:
    """One line on a network's transfer, and a warning where little was taken."""
    lines = [
        f"{name}: {counted(len(transfer.taken), 'tensor')} taken over ({transfer.share:.1%} of its parameters), "
        f"{len(transfer.new)} new{_first(transfer.new)}, {len(transfer.left)} left aside{_first(transfer.left)}"
    ]
    if transfer.share < LEAST_SHARE:
        lines.append(
            f"warning: most of {name} begins untrained; for a transfer give that snapshot's --cfg, --method and sizes"
        )
    return lines


def _first(names: list[str]) -> str:
    return f" (such as {names[0]})" if names else ""
