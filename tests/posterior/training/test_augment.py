"""Augmentations that are exact for linear data: what changes together, and what stays."""

from __future__ import annotations

from collections import Counter

import torch

from posterior.config import TrainConfig
from posterior.symmetry import scaled_channels
from posterior.training.augment import augment

NAMES = ("migrated image", "Background squared slowness")


def augmented(shape: tuple[int, ...] = (6, 1, 4, 3, 5), **settings: object):
    config = TrainConfig(**{"flip": False, "reverse": False, "amplitude": (1.0, 1.0)} | settings)
    x = torch.randn(shape, dtype=torch.float64)
    y = torch.cat([2.0 * x, x + 1.0], 1)
    return x, y, *augment(x, y, NAMES, config, torch.Generator().manual_seed(0))


def test_nothing_asked_nothing_changed():
    x, y, new_x, new_y = augmented()
    assert torch.equal(x, new_x)
    assert torch.equal(y, new_y)


def test_amplitude_and_sign_are_common_and_spare_the_background():
    assert scaled_channels(NAMES) == (True, False)
    x, y, new_x, new_y = augmented(reverse=True, amplitude=(0.5, 2.0))
    factors = (new_x / x).flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), rtol=1e-12, atol=0)
    assert factors[:, 0].unique().numel() == 6
    assert factors.amin() < 0.0 < factors.amax()
    assert ((factors.abs() >= 0.5) & (factors.abs() <= 2.0)).all()
    torch.testing.assert_close(new_y[:, 0], 2.0 * new_x[:, 0])
    assert torch.equal(new_y[:, 1], y[:, 1])


def test_mirror_turns_horizontal_axes_of_x_and_y_together_and_never_depth():
    x, y, new_x, new_y = augmented((32, 1, 4, 3, 5), flip=True)
    turns = Counter()
    for before, after, image in zip(x, new_x, new_y, strict=True):
        axes = [axes for axes in ((), (1,), (2,), (1, 2)) if torch.equal(before.flip(axes), after)]
        turns[axes[0]] += 1
        assert torch.equal(image, torch.cat([2.0 * after, after + 1.0]))
    assert len(turns) == 4  # 32 draws miss one of the four with probability 4 * 0.75^32 = 0.0004
    assert not torch.equal(y, new_y)
    vectors = augmented((8, 1, 6), flip=True)  # one axis: depth
    assert torch.equal(vectors[0], vectors[2])
