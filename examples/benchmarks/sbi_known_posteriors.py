"""Posteriors of dense flows and of the package sbi against known ones: C2ST on four tasks of sbibm.

Every method gets the same 10,000 simulations of a task, learns one amortized posterior from them, and draws
10,000 samples for each of ten observations; a classifier then tells them from sbibm's reference samples (0.5:
it cannot; 1: always). sbi's NPE runs at its defaults: z-scored parameters, samples outside the prior
rejected. What is done already lies under --out and is not done again.

Run (sbi beside this project; two to three hours on one core):
    pip install sbi; pip download sbibm==1.1.0 --no-deps --dest runs/sbibm
    OMP_NUM_THREADS=1 python examples/benchmarks/sbi_known_posteriors.py

Source:
    Lueckmann et al., Benchmarking simulation-based inference, AISTATS 2021.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from c2st import c2st
from record import record
from sbi_dense import Recipe, fit_dense
from sbibm_tasks import OBSERVATIONS, TASKS, Task
from torch import Tensor

REFERENCE = Path("runs/sbibm/sbibm-1.1.0-py2.py3-none-any.whl")
SIMULATIONS, SAMPLES, HELD_OUT = 10_000, 10_000, 10_000


@final
@dataclass(frozen=True)
class Fitted:
    """An amortized posterior as the benchmark uses it.

    Args:
        sample: (number of samples, x of shape (1, D)) -> theta (number, P), inside the prior's support.
        log_prob: theta (B, P), x (B, D) -> log q(theta | x), shape (B,), with no correction for mass outside.
        facts: number of parameters, epochs and the like.
    """

    sample: Callable[[int, Tensor], Tensor]
    log_prob: Callable[[Tensor, Tensor], Tensor]
    facts: dict[str, Any]


def neural_posterior_estimation(estimator: str, task: Task, theta: Tensor, x: Tensor) -> Fitted:
    """The package sbi, all its defaults kept but the density estimator, "maf" or "nsf"."""
    from sbi.inference import NPE
    from sbi.utils.tracking import TensorBoardTracker
    from torch.utils.tensorboard.writer import SummaryWriter

    with tempfile.TemporaryDirectory() as log:  # sbi would write it into the working folder
        tracker = TensorBoardTracker(SummaryWriter(log))
        inference = NPE(task.prior, estimator, tracker=tracker, show_progress_bars=False)
        density = inference.append_simulations(theta, x).train()
    posterior = inference.build_posterior()
    facts = {
        "parameters": sum(parameter.numel() for parameter in density.parameters()),
        "epochs": inference.summary["epochs_trained"][0],
    }
    return Fitted(
        lambda num, observed: posterior.sample((num,), x=observed, show_progress_bars=False),
        lambda at, given: density.log_prob(at[None], given)[0],
        facts,
    )


def dense_flow(task: Task, theta: Tensor, x: Tensor) -> Fitted:
    """This project's spline flow of vectors, by one recipe for all tasks."""
    posterior = fit_dense(task, theta, x, Recipe())
    facts = {
        "parameters": sum(parameter.numel() for parameter in posterior.flow.parameters()),
        "epochs": posterior.epochs,
        "recipe": asdict(Recipe()),
    }
    return Fitted(posterior.sample, posterior.log_prob, facts)


METHODS: dict[str, Callable[[Task, Tensor, Tensor], Fitted]] = {
    "maf": lambda *problem: neural_posterior_estimation("maf", *problem),
    "nsf": lambda *problem: neural_posterior_estimation("nsf", *problem),
    "dense": dense_flow,
}


def fit(task: Task, method: str, reference: Path, folder: Path, *, seed: int) -> None:
    """Train, sample all observations, and write ``samples.npy`` and, last, ``training.json``."""
    theta, x = task.simulations(SIMULATIONS, seed)
    torch.manual_seed(seed)
    start = time.perf_counter()
    fitted = METHODS[method](task, theta, x)
    seconds = time.perf_counter() - start
    observed = [task.observation(reference, number) for number in OBSERVATIONS]
    with torch.no_grad():
        log_prob = fitted.log_prob(*task.simulations(HELD_OUT, seed + 1)).mean().item()
        samples = torch.stack([fitted.sample(SAMPLES, one) for one in observed])
    if not all(task.in_support(some).all() for some in samples):
        raise ValueError(f"expected samples of {method} inside the prior of {task.name}, some lie outside")
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "samples.npy", samples.numpy())
    facts = {"training_seconds": seconds, "held_out_log_prob": log_prob, **fitted.facts}
    (folder / "training.json").write_text(json.dumps(facts))


def compare(task: Task, reference: Path, folder: Path, number: int) -> None:
    """Append the C2ST of one observation to the folder's ``c2st_batched.jsonl``, unless it is there."""
    if number in scores(folder):
        return
    start = time.perf_counter()
    samples = torch.from_numpy(np.load(folder / "samples.npy")[number - 1])
    score = c2st(task.reference_samples(reference, number), samples)
    entry = {"observation": number, "c2st": score, "seconds": time.perf_counter() - start}
    with (folder / "c2st_batched.jsonl").open("a") as out:
        out.write(json.dumps(entry) + "\n")
    say(f"{folder} observation {number}: C2ST {score:.3f} in {entry['seconds']:.0f} s")


def scores(folder: Path) -> dict[int, float]:
    """The C2STs that the folder holds, by observation."""
    file = folder / "c2st_batched.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return {line["observation"]: line["c2st"] for line in map(json.loads, lines)}


def summary(folder: Path, observations: Iterable[int]) -> dict[str, Any]:
    """What the table says of one task and method."""
    found = [scores(folder)[number] for number in observations]
    return {
        "c2st_mean": statistics.mean(found),
        "c2st": found,
        **json.loads((folder / "training.json").read_text()),
    }


def say(message: str) -> None:
    """A line of progress, with the time of day."""
    print(time.strftime("%H:%M:%S"), message, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="sbibm's wheel, or a folder of it")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/sbi"), help="where samples and scores are kept"
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--observations", nargs="+", type=int, choices=OBSERVATIONS, default=list(OBSERVATIONS)
    )
    parser.add_argument("--seed", type=int, default=0, help="of simulations, first weights and samples")
    return parser.parse_args()


def main() -> None:
    """Train what is missing, compare what is missing, and show the table."""
    options = arguments()
    pairs = [(TASKS[task], method) for task in options.tasks for method in options.methods]
    folders = {pair: options.out / pair[0].name / f"{pair[1]}-seed{options.seed}" for pair in pairs}
    for (task, method), folder in folders.items():
        if not (folder / "training.json").exists():
            say(f"{task.name} {method}: training")
            fit(task, method, options.reference, folder, seed=options.seed)
            say(f"{task.name} {method}: {(folder / 'training.json').read_text()}")
    for number in options.observations:  # the outer loop: a part of the run compares all methods alike
        for (task, _), folder in folders.items():
            compare(task, options.reference, folder, number)
    table: dict[str, dict[str, Any]] = {task: {} for task in options.tasks}
    for (task, method), folder in folders.items():
        table[task.name][method] = summary(folder, options.observations)
    figures = {"simulations": SIMULATIONS, "samples": SAMPLES, "seed": options.seed, "tasks": table}
    if (
        options.tasks == list(TASKS)
        and options.methods == list(METHODS)
        and options.observations == list(OBSERVATIONS)
    ):
        versions = {name: metadata.version(name) for name in ("sbi", "nflows", "scikit-learn")}
        record("sbi_known_posteriors", figures | {"versions": versions})
    else:  # a part of the comparison is no result
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
