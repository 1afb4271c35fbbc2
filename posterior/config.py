"""Frozen configurations of the posterior's stages. Plain dataclasses, checked on construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

_STRICT: dict[str, Any] = {"extra": "forbid"}


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raise a ValueError that names the setting, what was expected and what came."""
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got!r}")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Architecture of a conditional flow with its summary network."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    kind: Literal["conditional_glow", "hint", "conditional_hint"] = "conditional_glow"
    hidden: int = 32
    """Hidden channels of a coupling's conditioner."""
    scales: int = 3
    steps: int = 4
    """Flow steps (ActNorm, 1x1 convolution, coupling) at each scale."""
    squeeze: Literal["haar", "checkerboard"] = "haar"
    conditioner: Literal["residual", "gated", "unet"] = "residual"
    """The network inside a coupling."""
    transform: Literal["affine", "spline"] = "affine"
    """What a coupling does to a cell: a bounded scale and a shift, or a rational-quadratic spline."""
    memory: Literal["invert", "checkpoint", "store"] = "invert"
    """What is kept for the backward pass; see posterior.reversible.Memory for this and the next four."""
    keep: bool = False
    anchor_every: int = 0
    chunk: int = 0
    slab_budget: str | None = None
    """Memory that one conditioner may take, such as "2GB": where the image needs more, it runs over slabs."""
    conditioner_dtype: Literal["bfloat16", "float16"] | None = None
    """Precision of the conditioners; None is that of the state, float32."""
    summary_width: int = 24
    """Channels of the summary U-net at its finest level."""
    cond_channels: int = 16
    """Channels of the condition that the summary network hands to the flow."""
    dropout: float = 0.1
    """Dropout probability in the summary network."""

    def __post_init__(self) -> None:
        for name in ("hidden", "scales", "steps", "summary_width", "cond_channels"):
            require(getattr(self, name) >= 1, f"network.{name}", "at least 1", getattr(self, name))
        require(0.0 <= self.dropout < 1.0, "network.dropout", "a probability in [0, 1)", self.dropout)


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """What every training has: its length, the optimiser, and how often something is written."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    section: ClassVar[str] = "train"
    """What the settings are called in a run's file."""

    seed: int = 0
    iterations: int = 1800
    batch_size: int = 16
    """Pairs an iteration over all processes together."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: int = 100
    """Iterations of linear warm-up; a cosine to zero follows."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.995
    validate_every: int = 100
    checkpoint_every: int = 100
    patience: int = 0
    """Validations without improvement after which training stops; 0 trains to the end."""
    max_skipped: int = 5
    """Consecutive steps with a non-finite loss or gradient after which training stops."""
    keep_checkpoints: int = 2
    log_every: int = 10
    """Every how many iterations the log gets a line."""
    workers: int = 0
    """Processes that read pairs ahead; 0 reads in the training process."""
    compile: bool = False
    """Compile the conditioners (torch.compile)."""

    def __post_init__(self) -> None:
        counts = ("iterations", "batch_size", "validate_every", "checkpoint_every", "keep_checkpoints")
        for name in (*counts, "log_every"):
            require(getattr(self, name) >= 1, f"{self.section}.{name}", "at least 1", getattr(self, name))
        for name in ("learning_rate", "clip_norm"):
            require(
                getattr(self, name) > 0.0, f"{self.section}.{name}", "a positive value", getattr(self, name)
            )
        for name in ("weight_decay", "warmup", "patience", "max_skipped", "workers"):
            require(getattr(self, name) >= 0, f"{self.section}.{name}", "a value >= 0", getattr(self, name))
        require(0.0 <= self.ema_decay < 1.0, f"{self.section}.ema_decay", "a value in [0, 1)", self.ema_decay)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LoopConfig):
    """Maximum-likelihood training."""

    noise_start: float = 0.3
    noise_end: float = 0.1
    """White noise added to the standardised x, annealed geometrically from start to end."""
    amplitude: tuple[float, float] = (0.7, 1.4)
    """Random common factor on (x, migrated image): exact for linear data, relative noise. (1, 1): none."""
    flip: bool = True
    """Random left-right flip of (x, y): exact when sources and receivers are spread symmetrically."""
    reverse: bool = True
    """Random common sign of (x, migrated image): exact for linear data."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("noise_start", "noise_end"):
            require(getattr(self, name) >= 0, f"{self.section}.{name}", "a value >= 0", getattr(self, name))
        low, high = self.amplitude
        require(0.0 < low <= high, "train.amplitude", "0 < min <= max", self.amplitude)


@dataclass(frozen=True, kw_only=True)
class ReconstructConfig(LoopConfig):
    """Training of a loop-unrolled reconstruction."""

    section: ClassVar[str] = "reconstruct"

    batch_size: int = 4
    learning_rate: float = 1e-3
    loss: Literal["snr", "ssim", "mse"] = "snr"
    """What is lowered: the negative signal-to-noise ratio [dB], 1 - SSIM, or the mean squared error."""
    data_range: float = 1.0
    """Range of values of x, in its unit: of SSIM, and the unit of the mean squared error's root."""
    first_guess: int = 0
    """Iterations that a starting network learns by itself before, from migrated images alone."""
    first_guess_pairs: int = 0
    """Training pairs that it learns from; the loop then learns from the others, which it does not know by
    heart. 0: both learn from all."""
    first_guess_batch: int = 16
    """Pairs in each of them."""
    first_guess_rate: float = 2e-3
    """Their learning rate."""
    adjoint_rtol: float | None = None
    """Largest mismatch in the dot test before the first step; null for what the precision allows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("data_range", "first_guess_rate"):
            require(getattr(self, name) > 0.0, f"reconstruct.{name}", "a positive value", getattr(self, name))
        for name in ("first_guess", "first_guess_pairs"):
            require(getattr(self, name) >= 0, f"reconstruct.{name}", "at least 0", getattr(self, name))
        require(
            self.first_guess_batch >= 1, "reconstruct.first_guess_batch", "at least 1", self.first_guess_batch
        )


@dataclass(frozen=True, kw_only=True)
class LoopNetworkConfig:
    """Architecture of a loop-unrolled reconstruction; see posterior.networks.loop.LoopUnrolled."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    unrolled: int = 4
    """Iterations, each with one application of the operator and one of its adjoint."""
    memory_channels: int = 7
    step: Literal["irim", "unet", "hint"] = "unet"
    update: Literal["additive", "affine"] = "additive"
    start: Literal["gradient", "zero", "network"] = "zero"
    """A network starts from the migrated image and the background, both weighted as ``imaging`` says."""
    hidden: int = 32
    strides: tuple[int, ...] | None = None
    """Patch sizes of a block's couplings; null for those of the step."""
    keep: bool = True
    """Keep each iteration's gradient for the backward pass, which then costs half as many waves."""
    encodings: int = 0
    """Simultaneous shots in training, random sums anew in every iteration; 0 for the shots one by one."""
    unit: float | None = None
    """Size of x [s^2/m^2], by which the network divides; null for the rms of the training images."""

    def __post_init__(self) -> None:
        for name in ("unrolled", "memory_channels", "hidden"):
            require(getattr(self, name) >= 1, f"loop.{name}", "at least 1", getattr(self, name))
        require(self.encodings >= 0, "loop.encodings", "at least 0", self.encodings)
        require(self.unit is None or self.unit > 0.0, "loop.unit", "a positive value", self.unit)


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Posterior sampling."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    seed: int = 0
    num_samples: int = 200
    batch_size: int = 50
    """Draws evaluated together."""

    def __post_init__(self) -> None:
        require(self.num_samples >= 2, "sample.num_samples", "at least 2", self.num_samples)
        require(self.batch_size >= 1, "sample.batch_size", "at least 1", self.batch_size)
