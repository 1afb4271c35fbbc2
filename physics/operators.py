"""Compiled Devito operators: built once per setting, reused for every model, grid shape and record length.

Everything that Devito bakes into the generated code is in the key of `compiled`; everything else (fields,
sizes, positions, number of steps) is an argument of the compiled function.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from physics._devito import devito
from physics.fields import Fields, Setting, Sizes
from physics.jit_locks import clear_stale_locks
from physics.stencils.programs import PROGRAMS, Kind
from physics.stencils.schemes import SCHEMES


@cache
def compiled(kind: Kind, setting: Setting, subsample: int) -> tuple[Any, tuple[str, ...], bool]:
    """The Devito operator of a kind, the stores that it uses, and whether these have a halo.

    ``subsample`` is 1 for kinds that keep nothing.
    """
    clear_stale_locks()
    cells = 2 * (setting.layer + setting.space_order + setting.source_reach + setting.receiver_reach)
    sizes = Sizes((cells,) * len(setting.spacing), 4 * subsample, 1, 1, subsample)
    fields = Fields(setting, sizes)
    program = PROGRAMS[kind](fields, SCHEMES[setting.equation](fields))
    operator = devito.Operator(program.equations, name=kind, subs=fields.grid.spacing_map)
    return operator, program.stores, program.halo
