"""Classifier two-sample test as sbibm defines it, its five folds trained together in torch.

The classifier, its optimiser and its stopping rule are those of scikit-learn's ``MLPClassifier`` at sbibm's
settings: two hidden layers of 10 P ReLU units, logistic loss with an L2 penalty of 1e-4, Adam at 1e-3 on
batches of 200, stopped when the loss has not improved by 1e-4 for ten epochs. Only the random numbers differ,
and that the folds are one batched product. Run this file to compare the two.

Source:
    Lueckmann et al., Benchmarking simulation-based inference, AISTATS 2021; Lopez-Paz and Oquab, Revisiting
    classifier two-sample tests, ICLR 2017.
"""

from __future__ import annotations

import time
from itertools import pairwise

import torch
from torch import Tensor

FOLDS, BATCH, PENALTY, RATE, TOLERANCE, PATIENCE, EPOCHS = 5, 200, 1e-4, 1e-3, 1e-4, 10, 10_000


@torch.no_grad()
def c2st(reference: Tensor, samples: Tensor, *, seed: int = 1) -> float:
    """Mean accuracy over five folds between samples (N, P): 0.5 where the two sets cannot be told apart."""
    generator = torch.Generator().manual_seed(seed)
    mean, std = reference.mean(0), reference.std(0)
    features = (torch.cat((reference, samples)) - mean) / std
    labels = torch.cat((torch.zeros(len(reference)), torch.ones(len(samples))))
    order = torch.randperm(len(features), generator=generator)
    held_out = order[: len(order) // FOLDS * FOLDS].view(FOLDS, -1)
    rest = torch.stack([torch.cat([held_out[j] for j in range(FOLDS) if j != i]) for i in range(FOLDS)])
    weights = _train(features, labels, rest, generator)
    scores = _forward(weights, features[held_out])[-1]
    return float(((scores > 0).float() == labels[held_out]).float().mean())


def _train(features: Tensor, labels: Tensor, rest: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Weights and biases of every fold, each as it was when that fold stopped."""
    width = features.shape[1]
    sizes = [width, 10 * width, 10 * width, 1]
    weights = []
    for fan_in, fan_out in pairwise(sizes):
        bound = (6.0 / (fan_in + fan_out)) ** 0.5
        shapes = (FOLDS, fan_in, fan_out), (FOLDS, 1, fan_out)
        weights += [(2.0 * torch.rand(shape, generator=generator) - 1.0) * bound for shape in shapes]
    done, running = [torch.empty_like(w) for w in weights], torch.arange(FOLDS)
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    best, waited, steps = torch.full((FOLDS,), torch.inf), torch.zeros(FOLDS), 0
    for _ in range(EPOCHS):
        shuffled = torch.stack(
            [fold[torch.randperm(len(fold), generator=generator)] for fold in rest[running]]
        )
        total = torch.zeros(len(running))
        for batch in shuffled.split(BATCH, 1):
            loss, grads = _loss_and_gradients(weights, features[batch], labels[batch])
            total += loss * batch.shape[1]
            steps += 1
            _adam(weights, grads, first, second, steps)
        total /= rest.shape[1]
        waited = torch.where(total > best - TOLERANCE, waited + 1.0, torch.zeros(len(running)))
        best = torch.minimum(best, total)
        go_on = waited <= PATIENCE
        for kept, now in zip(done, weights, strict=True):
            kept[running[~go_on]] = now[~go_on]
        if not go_on.any():
            break
        if not go_on.all():
            weights, first, second = ([w[go_on] for w in group] for group in (weights, first, second))
            running, best, waited = running[go_on], best[go_on], waited[go_on]
    return done


def _adam(
    weights: list[Tensor], grads: list[Tensor], first: list[Tensor], second: list[Tensor], steps: int
) -> None:
    """One step of Adam, in place."""
    torch._foreach_lerp_(first, grads, 0.1)
    torch._foreach_mul_(second, 0.999)
    torch._foreach_addcmul_(second, grads, grads, 0.001)
    spread = torch._foreach_sqrt(second)
    torch._foreach_add_(spread, 1e-8)
    change = torch._foreach_div(first, spread)
    torch._foreach_mul_(change, RATE * (1.0 - 0.999**steps) ** 0.5 / (1.0 - 0.9**steps))
    torch._foreach_sub_(weights, change)


def _forward(weights: list[Tensor], x: Tensor) -> list[Tensor]:
    """Hidden activations and, last, the scores (FOLDS, batch)."""
    h = torch.baddbmm(weights[1], x, weights[0]).relu_()
    g = torch.baddbmm(weights[3], h, weights[2]).relu_()
    return [h, g, torch.baddbmm(weights[5], g, weights[4])[..., 0]]


def _loss_and_gradients(weights: list[Tensor], x: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logistic loss with the penalty, a fold, and its gradients by hand."""
    h, g, scores = _forward(weights, x)
    count = x.shape[1]
    loss = torch.nn.functional.softplus(scores) - labels * scores
    penalty = sum(w.square().sum((1, 2)) for w in weights[::2]) * (0.5 * PENALTY / count)
    grad = ((scores.sigmoid() - labels) / count)[..., None]
    grads: list[Tensor] = []
    for inputs, weight in ((g, weights[4]), (h, weights[2]), (x, weights[0])):
        grads = [
            torch.baddbmm(weight, inputs.mT, grad, beta=PENALTY / count),
            grad.sum(1, keepdim=True),
            *grads,
        ]
        if inputs is not x:
            grad = (grad @ weight.mT) * (inputs > 0)
    return loss.mean(1) + penalty, grads


def by_scikit_learn(reference: Tensor, samples: Tensor, *, seed: int = 1) -> float:
    """The same by scikit-learn itself, as sbibm calls it."""
    import numpy as np
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    width = 10 * reference.shape[1]
    classifier = MLPClassifier((width, width), solver="adam", max_iter=10_000, random_state=seed)
    mean, std = reference.mean(0), reference.std(0)
    features = (torch.cat((reference, samples)) - mean) / std
    labels = np.repeat((0.0, 1.0), (len(reference), len(samples)))
    folds = KFold(n_splits=5, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, features.numpy(), labels, cv=folds, scoring="accuracy").mean())


def compare() -> None:
    """This test beside scikit-learn's, on Gaussians that differ more and more."""
    for width in (2, 5, 10):
        for shift in (0.0, 0.1, 0.3):
            torch.manual_seed(0)
            a, b = torch.randn(10_000, width), torch.randn(10_000, width) * (1.0 + shift) + shift
            figures = []
            for test in (c2st, by_scikit_learn):
                start = time.perf_counter()
                figures += [test(a, b), time.perf_counter() - start]
            print(f"P = {width:2d}, shift {shift}: {figures[0]:.4f} in {figures[1]:.0f} s", end="; ")
            print(f"scikit-learn {figures[2]:.4f} in {figures[3]:.0f} s", flush=True)


if __name__ == "__main__":
    compare()
