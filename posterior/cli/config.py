"""One run, one TOML file: every stage's configuration, typed and checked, with command-line overrides."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tomli_w
from pydantic import Field, TypeAdapter, ValidationError

from physics.config import (
    AcquisitionConfig,
    ExecutionConfig,
    ImagingConfig,
    LayeredPriorConfig,
    NoiseConfig,
    PairConfig,
    PatchPriorConfig,
    PriorConfig,
    SpreadConfig,
    SurveyConfig,
)
from posterior.cli.sections import ReportConfig, SplitConfig, near_key, section_at
from posterior.config import (
    LoopNetworkConfig,
    NetworkConfig,
    ReconstructConfig,
    SampleConfig,
    TrainConfig,
    require,
)
from posterior.files import write_atomic

_STRICT: dict[str, Any] = {"extra": "forbid"}

# Sections that may change from one command to the next within the same run folder: they decide how, or how
# often, something is computed from the model, not which model it is.
FREE_SECTIONS = ("simulate", "sample", "report", "loop", "reconstruct")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run: simulate, train, sample, report."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    seed: int = 0
    prior: Annotated[PriorConfig, Field(discriminator="kind")] = field(default_factory=PatchPriorConfig)
    survey: SurveyConfig = field(default_factory=SurveyConfig)
    acquisition: Annotated[AcquisitionConfig, Field(discriminator="kind")] = field(
        default_factory=SpreadConfig
    )
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    imaging: ImagingConfig = field(default_factory=ImagingConfig)
    splits: dict[str, SplitConfig]
    simulate: ExecutionConfig = field(default_factory=ExecutionConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    loop: LoopNetworkConfig | None = None
    """The network of `seispost reconstruct`; null for its default."""
    reconstruct: ReconstructConfig | None = None
    """Its training; null for the default."""

    def __post_init__(self) -> None:
        for name in self.splits:
            require(
                re.fullmatch(r"[A-Za-z0-9_-]+", name) is not None,
                "splits",
                "names of letters, digits, - and _",
                name,
            )
        missing = {"train", "validation"} - set(self.splits)
        require(not missing, "splits", "splits named 'train' and 'validation'", sorted(self.splits))

    @property
    def held_out(self) -> tuple[str, ...]:
        """Splits that are sampled and reported: all but those that training sees."""
        return tuple(name for name in self.splits if name not in ("train", "validation"))

    def pairs(self, split: str) -> PairConfig:
        """Configuration of one split's pairs: the run's prior with the split's region and augmentation."""
        own, prior = self.splits[split], self.prior
        if isinstance(prior, PatchPriorConfig):
            if own.region is not None:
                prior = dataclasses.replace(prior, region=own.region)
            if own.augment is not None:
                prior = dataclasses.replace(
                    prior, augment=dataclasses.replace(prior.augment, probability=own.augment)
                )
        return PairConfig(
            seed=self.seed,
            stream=split,
            prior=prior,
            survey=self.survey,
            acquisition=self.acquisition,
            noise=self.noise,
            imaging=self.imaging,
        )

    def without_model(self) -> RunConfig:
        """The same run on the layered synthetic prior, for when the earth model cannot be had."""
        splits = {name: SplitConfig(count=split.count) for name, split in self.splits.items()}
        return dataclasses.replace(self, prior=LayeredPriorConfig(), splits=splits)


def _assign(tree: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise ValueError(f"expected an override like train.iterations=500, got {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    *parents, leaf = key.strip().split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ValueError(f"{key}: {parent} is a value, not a section")  # noqa: TRY004 (the user's text)
    tree[leaf] = value


def _describe(error: Any) -> str:
    location = tuple(error["loc"])
    key = ".".join(str(part) for part in location)
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        section = RunConfig if len(location) <= 1 else section_at(location)
        near = near_key(section, str(location[-1]))
        return f"{key}: no such setting" + (f"; did you mean {near!r}?" if near else "")
    if error["type"] in ("missing", "missing_argument"):
        return f"{key}: missing"
    message = error["msg"].removeprefix("Value error, ")
    return message if error["type"] == "value_error" else f"{key}: {message}, got {error['input']!r}"


def parse(tree: dict[str, Any], *, source: str) -> RunConfig:
    """Check a tree of plain values against `RunConfig`.

    Raises:
        ValueError: One line for each unknown key, wrong type or value out of range.
    """
    try:
        return TypeAdapter(RunConfig).validate_python(tree)
    except ValidationError as error:
        lines = [_describe(entry) for entry in error.errors()]
        raise ValueError(f"{source}: " + "; ".join(lines)) from None


def load(path: Path, overrides: list[str]) -> RunConfig:
    """Read a run from a TOML file and apply overrides such as ``train.iterations=500``."""
    if not path.is_file():
        raise FileNotFoundError(f"no such run file: {path}")
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from None
    for override in overrides:
        _assign(tree, override)
    return parse(tree, source=str(path))


def to_tree(config: Any) -> Any:
    """Plain values of a configuration, without the settings that are None: TOML has no word for them."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        pairs = ((f.name, getattr(config, f.name)) for f in dataclasses.fields(config))
        return {key: to_tree(value) for key, value in pairs if value is not None}
    if isinstance(config, dict):
        return {key: to_tree(value) for key, value in config.items()}
    return list(config) if isinstance(config, tuple) else config


def differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Dotted names of the settings in which two trees differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{prefix}{key}.")]
    return [] if old == new else [f"{prefix.rstrip('.')} is {old!r} there and {new!r} here"]


def claim(folder: Path, config: RunConfig) -> None:
    """Take a run folder: write ``config.toml``, or check that the one there describes the same run.

    Raises:
        ValueError: If the folder holds another run, with the settings that differ.
    """
    tree, path = to_tree(config), folder / "config.toml"
    if path.exists():
        there = tomllib.loads(path.read_text(encoding="utf-8"))
        old, new = ({k: v for k, v in side.items() if k not in FREE_SECTIONS} for side in (there, tree))
        lines = differences(old, new)
        if lines:
            raise ValueError(
                f"{folder} holds another run ({'; '.join(lines[:5])}): choose another folder with --out, "
                "or remove this one"
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise ValueError(
            f"{folder} is not empty and holds no run (no config.toml): choose another folder with --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, tomli_w.dumps(tree).encode())
