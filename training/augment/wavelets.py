"""Orthonormal wavelets, from which the filters of the augmentations are made."""

import itertools
import math
from functools import cache

import numpy as np


@cache
def symlet(moments: int) -> tuple[float, ...]:
    """Lowpass taps of the symlet: of the Daubechies wavelets with this many vanishing moments the least asymmetric.

    2 * moments numbers with sum sqrt 2 and sum of squares 1; of the filter and its mirror image, the one whose largest
    tap comes before the middle (Daubechies 1992, "Ten Lectures on Wavelets", chapters 6 and 8).
    """
    candidates = [_factor(moments, roots) for roots in itertools.product(*_root_pairs(moments))]
    best = min(candidates, key=lambda h: (round(float(np.square(h - h[::-1]).sum()), 9), int(h.argmax())))
    return tuple(best.tolist())


def _root_pairs(moments: int) -> list[tuple[complex, complex]]:
    """The choices: z or 1/z for each root y of P(y) = sum C(moments - 1 + k, k) y^k, where y = (2 - z - 1/z) / 4.

    Of complex conjugate roots only one is listed; its partner makes the same choice.
    """
    powers = [math.comb(moments - 1 + k, k) for k in range(moments)]
    middles = [1 - 2 * y for y in np.roots(powers[::-1]).astype(complex) if y.imag > -1e-9]
    inner = [m + np.sqrt(m * m - 1) for m in middles]
    return [(z, 1 / z) for z in inner]


def _factor(moments: int, roots: tuple[complex, ...]) -> np.ndarray:
    """Taps of (1 + z)^moments times the product of (z - root), conjugates included, with sum sqrt 2."""
    taps = np.array([1.0])
    for _ in range(moments):
        taps = np.convolve(taps, [1, 1])
    for root in roots:
        pair = [1, -2 * root.real, abs(root) ** 2] if abs(root.imag) > 1e-9 else [1, -root.real]
        taps = np.convolve(taps, pair)
    return taps * (math.sqrt(2) / taps.sum())


def octave_bank(octaves: int = 3) -> np.ndarray:
    """Filters that split a signal into octaves and sum to a single tap of 1: [octaves + 1, taps], lowest first.

    Made of the symlet of two moments: each octave is halved once more, and the upper half becomes a filter of its own.
    With 3 octaves 43 taps, symmetric.
    """
    low = np.array(symlet(2))
    high = low * (-1.0) ** np.arange(len(low))
    halves = [np.convolve(taps, taps[::-1]) / 2 for taps in (low, high)]
    bank = np.eye(octaves + 1)[:, :1]
    for octave in range(1, octaves + 1):
        spaced = np.zeros([len(bank), 2 * bank.shape[1] - 1])
        spaced[:, ::2] = bank
        bank = np.stack([np.convolve(row, halves[0]) for row in spaced])
        margin = (bank.shape[1] - len(halves[1])) // 2
        bank[octave, margin : margin + len(halves[1])] += halves[1]
    return bank
