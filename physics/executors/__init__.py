"""Where pairs are made: this process, processes of this machine, Dask, SLURM, ssh; one interface.

`base` is the interface, `retries` drives it, `places` makes an executor of a configuration. An executor knows
nothing of pairs, and who uses one does not see which it is: the bytes of a dataset do not depend on it.
"""

from physics.executors.base import Crew, Executor, Outcome, Shard, Task
from physics.executors.places import make_executor
from physics.executors.retries import run_shards

__all__ = ["Crew", "Executor", "Outcome", "Shard", "Task", "make_executor", "run_shards"]
