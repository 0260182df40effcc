"""Wavelet filters: orthonormal, with the vanishing moments they are named for."""

import numpy as np
import pytest

from training.augment.wavelets import octave_bank, symlet

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("moments", [1, 2, 4, 6, 8])
def test_symlets_are_orthonormal_with_vanishing_moments(moments: int):
    taps = np.array(symlet(moments))
    assert taps.shape == (2 * moments,)
    shifted = [taps[2 * k :] @ taps[: len(taps) - 2 * k] for k in range(moments)]
    np.testing.assert_allclose(shifted, [1] + [0] * (moments - 1), atol=1e-10)
    alternating = taps * (-1.0) ** np.arange(len(taps))
    middle = np.arange(len(taps)) - moments + 0.5
    for power in range(moments):
        assert abs((alternating * (middle / moments) ** power).sum()) < 1e-8
    assert taps.argmax() < moments


@pytest.mark.parametrize("octaves, length", [(1, 7), (2, 19), (3, 43)])
def test_octaves_are_symmetric_and_add_up_to_the_signal(octaves: int, length: int):
    bank = octave_bank(octaves)
    assert bank.shape == (octaves + 1, length)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(bank.sum(0), np.eye(length)[length // 2], atol=1e-12)


def test_octaves_are_ordered_from_low_to_high():
    spectra = np.abs(np.fft.rfft(octave_bank(), 256))
    assert list(spectra.argmax(1)) == sorted(spectra.argmax(1))
    assert spectra[0].argmax() == 0
    assert spectra[3].argmax() == 128
