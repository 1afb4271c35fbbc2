"""Training pairs of two processes against one: what is lost to shared caches and memory.

Each process is pinned to a processor of its own and computes pairs, J dm and J^T d of 16 shots as in
waves_peers.py, on one thread. One process and two take turns; a ratio of 2 would be perfect.

Run: OMP_NUM_THREADS=1 chrt -f 10 python examples/benchmarks/two_processes.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

from record import record
from wave_contenders import Ours, Task
from waves_peers import SHOTS_A_PAIR, crop

PAIRS = 2
REST = 0.2
"""Seconds between the rounds: real-time priority must not take a processor for good."""


def worker(pipe: Connection, processor: int) -> None:
    """Compute ``PAIRS`` pairs whenever told to, until told to stop."""
    os.sched_setaffinity(0, {processor})
    ours = Ours(Task(crop(), SHOTS_A_PAIR), "matched")
    ours.pair()
    pipe.send("ready")
    while pipe.recv() == "go":
        for _ in range(PAIRS):
            ours.pair()
        pipe.send("done")


def seconds(pipes: list[Connection]) -> float:
    """Time until all of these processes have computed their pairs."""
    time.sleep(REST)
    start = time.perf_counter()
    for pipe in pipes:
        pipe.send("go")
    for pipe in pipes:
        pipe.recv()
    return time.perf_counter() - start


def start(processors: list[int]) -> list[Connection]:
    """One process on each of the processors, warm."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for processor in processors:
        here, there = context.Pipe()
        context.Process(target=worker, args=(there, processor), daemon=True).start()
        here.recv()
        pipes.append(here)
    return pipes


def measure(rounds: int) -> dict[str, Any]:
    """Median ratio of what two processes and one compute a second."""
    pipes = start([0, 1])
    one, two = [], []
    for turn in range(rounds):
        one.append(seconds(pipes[turn % 2 : turn % 2 + 1]))  # either processor, in turn
        two.append(seconds(pipes))
    for pipe in pipes:
        pipe.send("stop")
    ratios = [2.0 * a / b for a, b in zip(one, two, strict=True)]
    return {
        "throughput_of_two_over_one": statistics.median(ratios),
        "ratios": ratios,
        "pairs_per_hour": {
            "one": 3600.0 * PAIRS / statistics.median(one),
            "two": 2.0 * 3600.0 * PAIRS / statistics.median(two),
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    record("two_processes", measure(parser.parse_args().rounds))
