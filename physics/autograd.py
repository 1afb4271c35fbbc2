r"""Modelling, Born modelling and migration as torch functions of batches.

.. math:: d = F(m) q: \; \bar m = J(m)^T \bar d, \; \bar q = F(m)^T \bar d; \qquad d = J \delta m: \;
          \overline{\delta m} = J^T \bar d

What runs is numpy on the CPU, shot by shot; tensors come from and go back to any device and floating-point
type. Nothing is kept or run for a gradient that nobody wants. Linear operators have derivatives of any order,
modelling the first only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray

from physics.acoustic import AcousticOperator
from physics.algebra import LinearOperator
from physics.batches import check_batch, check_signatures, common_shape, is_squared_slowness, one_each
from physics.errors import PhysicsError
from physics.linear import BornOperator
from physics.survey_run import SurveyRun

Parameter = Literal["m", "vp"]
Operators: TypeAlias = AcousticOperator | Sequence[AcousticOperator]


def forward(
    model: torch.Tensor,
    operators: Operators,
    *,
    parameter: Parameter = "m",
    wavelet: torch.Tensor | None = None,
    keep_wavefields: bool = False,
) -> torch.Tensor:
    """Records of a batch of earth models, with gradients in the models and in the wavelet.

    Args:
        model: (B, *shape) or (B, 1, *shape): squared slowness [s^2/m^2] or velocity [m/s].
        operators: One for all samples, or one for each; their surveys may differ, but not in their numbers.
        parameter: Which of the two ``model`` is: "m" or "vp".
        wavelet: Signatures in place of the operators' wavelet, taken as they are: (nt,), (nsrc, nt) or
            (B, nsrc, nt).
        keep_wavefields: Keep the wavefields of all shots for the gradient: memory of B nsrc wavefields, which
            stays allocated. By default they are computed again, one at a time.

    Returns:
        Records (B, nsrc, nt, nrec), like ``model`` in device and dtype.

    Raises:
        ValueError: If a shape does not fit, as `AcousticOperator`, or at a second derivative.

    Example:
        >>> vp = torch.full((4, 64, 64), 2000.0, requires_grad=True)
        >>> records = forward(vp, operator, parameter="vp")
        >>> (records - observed).square().sum().backward()
    """
    each = one_each(operators, model.shape)
    inner = _batch(model, each[0].domain_shape, "model")
    m = inner if is_squared_slowness(parameter) else inner**-2.0
    shape = common_shape((operator.range_shape for operator in each), "records")
    signatures = None
    if wavelet is not None:
        check_signatures(wavelet.shape, (len(each), *shape[:2]))
        signatures = _inside(wavelet, "wavelet").expand(len(each), *shape[:2])
    runs = [
        operator.run(
            _array(m[sample]),
            signatures=None if signatures is None else _array(signatures[sample]),
            first_slot=sample * shape[0] if keep_wavefields else None,
        )
        for sample, operator in enumerate(each)
    ]
    keep = keep_wavefields and torch.is_grad_enabled() and m.requires_grad
    return _like(_Forward.apply(m, signatures, runs, keep), model)


def born(
    perturbation: torch.Tensor,
    operators: Operators,
    *,
    background: torch.Tensor | None = None,
    parameter: Parameter = "m",
) -> torch.Tensor:
    r"""Born records of a batch of perturbations; the gradient is the migration.

    .. math:: d = J(m_0) \, \delta m, \qquad \delta m = -2 v_0^{-3} \delta v

    Args:
        perturbation: (B, *shape) or (B, 1, *shape): of the squared slowness, or of the velocity.
        operators: One for all samples, or one for each.
        background: (B, *shape), (B, 1, *shape), or (*shape) for all; by default the operators' references.
        parameter: What perturbation and background are: "m" [s^2/m^2] or "vp" [m/s].

    Returns:
        Records (B, nsrc, nt, nrec), like ``perturbation`` in device and dtype.

    Raises:
        ValueError: If a shape does not fit, as `AcousticOperator`, or if the background wants a gradient.
    """
    each, weight = _linearised(one_each(operators, perturbation.shape), background, parameter)
    dm = weight * _batch(perturbation, each[0].domain_shape, "perturbation")
    return _like(apply(each, dm), perturbation)


def migrate(
    records: torch.Tensor,
    operators: Operators,
    *,
    background: torch.Tensor | None = None,
    parameter: Parameter = "m",
) -> torch.Tensor:
    r"""Migrated images of a batch of records; the gradient is Born modelling, the errors those of `born`.

    .. math:: g = J(m_0)^T d, \qquad g_v = -2 v_0^{-3} g

    Args:
        records: (B, nsrc, nt, nrec).
        operators: One for all samples, or one for each.
        background: As in `born`.
        parameter: What the background is, and what the image is a gradient in: "m" or "vp".

    Returns:
        Images (B, *shape), like ``records`` in device and dtype.
    """
    each, weight = _linearised(one_each(operators, records.shape), background, parameter)
    return _like(weight * apply([operator.H for operator in each], _inside(records, "records")), records)


def apply(operators: LinearOperator | Sequence[LinearOperator], x: torch.Tensor) -> torch.Tensor:
    """Any linear operator as a torch function of a batch; its derivative is the adjoint, in any order.

    Args:
        operators: One for all samples, or one for each.
        x: (B, *domain_shape).

    Returns:
        (B, *range_shape), like ``x`` in device and dtype.

    Example:
        >>> images = apply(mute @ J.H, records)
    """
    each = one_each(operators, x.shape)
    domain = common_shape((operator.domain_shape for operator in each), "input")
    common_shape((operator.range_shape for operator in each), "output")
    check_batch(x.shape, domain, name="input")
    return _like(_Linear.apply(_inside(x, "input"), tuple(each)), x)


@final
class _Forward(torch.autograd.Function):
    """Squared slowness (B, *shape) and signatures (B, nsrc, nt) to records; float64 on the CPU."""

    @staticmethod
    def forward(
        ctx: Any, m: torch.Tensor, signatures: torch.Tensor | None, runs: list[SurveyRun], keep: bool
    ) -> torch.Tensor:
        ctx.save_for_backward(m, signatures)
        ctx.runs = runs
        return _stack(run.records(keep=keep) for run in runs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        wanted = ctx.needs_input_grad[:2]
        return (*_Gradient.apply(*grads, *ctx.saved_tensors, ctx.runs, wanted), None, None)


@final
class _Gradient(torch.autograd.Function):
    """The gradient of `_Forward`, a function of its own to answer in words to a second derivative."""

    @staticmethod
    def forward(ctx: Any, grad: torch.Tensor, *inputs: Any) -> tuple[torch.Tensor | None, ...]:
        *_, runs, (of_m, of_signatures) = inputs
        pairs = list(zip(runs, grad.numpy(), strict=True))
        return (
            _stack(run.gradient(sources) for run, sources in pairs) if of_m else None,
            _stack(run.signatures(sources) for run, sources in pairs) if of_signatures else None,
        )

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise PhysicsError(
            "expected first derivatives of acoustic modelling only, got a request for a second one: call "
            "backward or grad without create_graph; `born` and `migrate` give Gauss-Newton products"
        )


@final
class _Linear(torch.autograd.Function):
    """Linear operators, one a sample; float64 on the CPU."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, operators: tuple[LinearOperator, ...]) -> torch.Tensor:
        ctx.operators = operators
        return _stack(op.forward(sample) for op, sample in zip(operators, x.numpy(), strict=True))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return _Linear.apply(*grads, tuple(operator.H for operator in ctx.operators)), None


def _linearised(
    each: list[AcousticOperator], background: torch.Tensor | None, parameter: Parameter
) -> tuple[list[BornOperator], torch.Tensor | float]:
    """J of every sample, and dm over a small change of the parameter."""
    is_m, shape = is_squared_slowness(parameter), each[0].domain_shape
    if background is None:
        inner = _stack(op.reference.m if is_m else op.reference.vp for op in each)
    elif background.requires_grad and torch.is_grad_enabled():
        raise PhysicsError(
            "expected a background without gradient, got one that requires it: Born modelling and migration "
            "have gradients in the perturbation and the records; detach() the background, or use `forward`"
        )
    else:
        whole = background.expand(len(each), *shape) if background.shape == shape else background
        inner = _batch(whole, shape, "background")
        if len(inner) != len(each):
            raise PhysicsError(f"expected as many backgrounds as samples, {len(each)}, got {len(inner)}")
    m = inner if is_m else inner**-2.0
    operators = [operator.at(_array(sample)) for operator, sample in zip(each, m, strict=True)]
    return operators, 1.0 if is_m else -2.0 * inner**-3.0


def _batch(tensor: torch.Tensor, shape: tuple[int, ...], name: str) -> torch.Tensor:
    """A batch (B, *shape) or (B, 1, *shape) as (B, *shape), float64 on the CPU."""
    check_batch(tensor.shape, shape, (1, *shape), name=name)
    return _inside(tensor, name).reshape(len(tensor), *shape)


def _inside(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """As the functions take it: float64 on the CPU. Plain torch, so that gradients go back the same way."""
    if not tensor.is_floating_point():
        raise PhysicsError(f"expected {name} of floating-point numbers, got {tensor.dtype}")
    return tensor.cpu().to(torch.float64)


def _like(result: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    return result.to(given.dtype).to(given.device)


def _array(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().numpy()


def _stack(arrays: Iterable[NDArray[Any]]) -> torch.Tensor:
    return torch.from_numpy(np.array(list(arrays), np.float64))
