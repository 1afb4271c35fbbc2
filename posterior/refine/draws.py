"""Random numbers of a refinement, each a function of (seed, its number): latents, and weights of shots."""

from __future__ import annotations

import math
from typing import Literal

import torch
from scipy.fft import dct
from torch import Tensor

from posterior.refine.likelihood import Batch
from posterior.seeding import derive_seed, generator, latents

DrawKind = Literal["random", "antithetic", "orthogonal"]
Encoding = Literal["shots", "gaussian", "rademacher"]

_LATENT, _SIGNS, _ENCODING = 1, 2, 3
"""Streams of a run."""


def reference_latents(kind: DrawKind, seed: int, start: int, stop: int, shape: tuple[int, ...]) -> Tensor:
    r"""Latents number start .. stop-1 of a stream that approximates expectations under N(0, I).

    "random" are independent. "antithetic" come with their mirror images, so that the mean of an affine
    function is exact. "orthogonal" also come in sets of D orthogonal vectors of length sqrt(D), D the size of
    a sample, so that over a whole set of 2 D draws second moments, and thus means of quadratic functions, are
    exact; a single cell is N(0, 1) to O(1/D).

    Returns:
        (stop - start, *shape), float32.

    Source:
        Antithetic variates: Hammersley and Morton 1956; structured orthogonal sets: Yu et al., Orthogonal
        random features, NeurIPS 2016, section 4, with cosine in place of Hadamard transforms.
    """
    stream = derive_seed(seed, _LATENT)
    if kind == "random":
        return latents(stream, start, stop, shape)
    pairs = range(start // 2, (stop + 1) // 2)
    if kind == "antithetic":
        half = latents(stream, pairs.start, pairs.stop, shape)
    else:
        half = torch.stack([_orthogonal(stream, number, math.prod(shape)).view(shape) for number in pairs])
    both = torch.stack((half, -half), 1).flatten(0, 1)
    return both[start % 2 :][: stop - start]


def _orthogonal(seed: int, number: int, size: int) -> Tensor:
    """Row ``number`` modulo D of the orthogonal matrix D_1 T D_2 T D_3 T, times sqrt(D)."""
    which, row = divmod(number, size)
    signs = generator(seed, _SIGNS, which)
    vector = torch.zeros(size, dtype=torch.float64)
    vector[row] = math.sqrt(size)
    for _ in range(3):
        flips = torch.randint(0, 2, (size,), generator=signs, dtype=torch.float64) * 2.0 - 1.0
        vector = torch.from_numpy(dct(vector.numpy(), norm="ortho")) * flips
    return vector.float()


def encodings(kind: Encoding, rows: int, num_sources: int, *, seed: int, step: int, samples: int) -> Batch:
    """Weights of the experiments of one step, other ones for every model.

    Args:
        kind: "shots" takes single shots, every one once before any comes again; "gaussian" and "rademacher"
            are sums of all shots with random weights of variance 1 / N_s.
        rows: Experiments K for each model; 0 for all shots, one by one.
        num_sources: Number of shots N_s.
        seed: Of the run.
        step: Number of the step.
        samples: Number of models B.
    """
    if rows == 0 or num_sources == 1:
        return Batch.all_shots(samples, num_sources)
    shape = (samples, rows, num_sources)
    if kind == "shots":
        first = step * samples * rows
        order = [_shot(seed, place, num_sources) for place in range(first, first + samples * rows)]
        return Batch(torch.eye(num_sources)[order].view(shape))
    stream = generator(seed, _ENCODING, step)
    if kind == "gaussian":
        return Batch(torch.randn(shape, generator=stream) / math.sqrt(num_sources))
    signs = torch.randint(0, 2, shape, generator=stream) * 2.0 - 1.0
    return Batch(signs / math.sqrt(num_sources))


def _shot(seed: int, place: int, num_sources: int) -> int:
    """The shot at one place of endless passes over all shots, each pass in an order of its own."""
    which, position = divmod(place, num_sources)
    return int(torch.randperm(num_sources, generator=generator(seed, _ENCODING, which))[position])
