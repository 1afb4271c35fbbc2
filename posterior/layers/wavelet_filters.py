r"""Filters of Daubechies' orthogonal wavelets, computed rather than tabulated, and their lattices.

A filter of order N has 2N taps, N vanishing moments and unit double-shift correlations. Its square modulus is
that of cos^{2N}(w/2) P(sin^2(w/2)); which roots of P are taken inside the unit circle names the wavelet.

Source:
    Daubechies, Ten lectures on wavelets, SIAM 1992, sections 6.1 (filters) and 8.1 (the least asymmetric
    ones); Vaidyanathan and Hoang, Lattice structures for optimal design and robust implementation of
    two-channel perfect-reconstruction QMF banks, IEEE Trans. ASSP 1988 (lattices).
"""

from __future__ import annotations

import re
from itertools import product
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Roots = tuple[complex, ...]

_LOWEST_ORDER = {"db": 1, "sym": 2}
_HIGHEST_ORDER = 10


def wavelet_filter(name: str) -> Array:
    """The low-pass filter h of a wavelet, (2N,), of unit norm and sum sqrt 2.

    Args:
        name: "db1" to "db10", Daubechies' wavelets of minimum phase, or "sym2" to "sym10", her least
            asymmetric ones ("symlets"); the number is the order N.

    Raises:
        ValueError: If there is no such wavelet.
    """
    match = re.fullmatch(r"(db|sym)([0-9]+)", name)
    if match is None or not _LOWEST_ORDER[match[1]] <= int(match[2]) <= _HIGHEST_ORDER:
        raise ValueError(f'expected a wavelet "db1" to "db10" or "sym2" to "sym10", got {name!r}')
    order = int(match[2])
    groups = _roots(order)
    # The first group stays inside: turning all of them over would only reverse the filter.
    choices: list[tuple[Roots, ...]] = [(group, _mirrored(group)) for group in groups[1:]]
    candidates = [sum(choice, ()) for choice in product(groups[:1] or [()], *choices)]
    roots = min(candidates, key=_phase_error) if match[1] == "sym" else candidates[0]
    taps = np.poly([*roots, *[-1.0] * order]).real
    return taps * (sqrt(2.0) / taps.sum())


def lattice(taps: Array) -> list[tuple[float, float]]:
    r"""The reflections (cos, sin), innermost first, that with shifts between them make up the filter.

    With e and o the even and the odd cells and A the advance of o by one, the two bands are

    .. math::
        \begin{pmatrix} \sum_k h_k x_{2n+k} \\ \sum_k g_k x_{2n+k} \end{pmatrix} =
        F_N A \cdots F_2 A F_1 \begin{pmatrix} e_n \\ o_n \end{pmatrix}, \quad
        F = \begin{pmatrix} \cos & \sin \\ \sin & -\cos \end{pmatrix}, \quad
        g_k = (-1)^{k + N - 1} h_{2N - 1 - k}

    Args:
        taps: The low-pass filter h, (2N,).
    """
    order = len(taps) // 2
    high = taps[::-1] * (-1.0) ** (np.arange(2 * order) + order - 1)
    polyphase = np.stack([taps.reshape(order, 2), high.reshape(order, 2)], 1)  # power of A, band, parity
    reflections = []
    while len(polyphase) > 1:
        # The coefficient of power 0 has rank one: the outermost reflection turns its range into the low band.
        # That frees the high band of power 0 and, by orthogonality, the low band of the highest power.
        range_of = polyphase[0][:, np.linalg.norm(polyphase[0], axis=0).argmax()]
        cos, sin = range_of / np.linalg.norm(range_of)
        polyphase = np.array([[cos, sin], [sin, -cos]]) @ polyphase
        polyphase = np.stack([polyphase[:-1, 0], polyphase[1:, 1]], 1)
        reflections.append((float(cos), float(sin)))
    cos, sin = polyphase[0, 0] / np.linalg.norm(polyphase[0, 0])
    return [(float(cos), float(sin)), *reversed(reflections)]


def _roots(order: int) -> list[Roots]:
    """Roots of the filter inside the unit circle but for those at -1, in conjugate pairs or single real ones.

    With y = sin^2(w/2) = (2 - z - 1/z) / 4 each root of P(y) = sum_k binom(N - 1 + k, k) y^k gives a pair
    (z, 1/z).
    """
    polynomial = [comb(order - 1 + k, k) for k in reversed(range(order))]
    groups: list[Roots] = []
    for y in np.roots(polynomial):
        half = 1.0 - 2.0 * complex(y)
        step = np.sqrt(half * half - 1.0)
        # The larger of the two has no cancellation; the smaller is its inverse.
        root = 1.0 / max(half + step, half - step, key=abs)
        if y.imag >= 0.0:
            groups.append((root,) if y.imag == 0.0 else (root, root.conjugate()))
    # In an order of their own, not that of the eigenvalue solver: it decides which way round a symlet runs.
    return sorted(groups, key=lambda group: abs(group[0]))


def _mirrored(group: Roots) -> Roots:
    return tuple(1.0 / root for root in group)


def _phase_error(roots: Roots) -> float:
    """Departure of the filter's phase over [0, pi] from the line through its ends, squared and summed."""
    frequency = np.linspace(0.0, np.pi, 513)
    factors = np.exp(1j * frequency) - np.array(roots)[:, None]
    phase = np.unwrap(np.angle(factors / factors[:, :1])).sum(0)
    return float(np.square(phase - phase[-1] * frequency / np.pi).sum())
