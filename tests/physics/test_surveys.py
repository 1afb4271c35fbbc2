"""Surveys built from configurations: where sources and receivers stand, and what does not fit."""

from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter

from physics.config import (
    AcquisitionConfig,
    ArealConfig,
    CrosswellConfig,
    NodesConfig,
    SpreadConfig,
    StreamerConfig,
    SubsetConfig,
    VspConfig,
)
from physics.errors import GeometryError
from physics.geometry import Acquisition
from physics.surveys import build

DT, NT = 0.004, 60
FLAT, CUBE = (800.0, 400.0), (800.0, 600.0, 400.0)


def make(config, extent=FLAT, seed=0):
    return build(config, extent, dt=DT, nt=NT, rng=np.random.default_rng(seed))


SURVEYS = {
    "spread": (SpreadConfig(num_sources=5, num_receivers=9), FLAT, (5, 9)),
    "jittered": (SpreadConfig(num_sources=5, num_receivers=9, jitter=80.0), FLAT, (5, 9)),
    "areal": (ArealConfig(num_sources=(2, 3), num_receivers=(4, 5), jitter=30.0), CUBE, (6, 20)),
    "nodes": (NodesConfig(num_nodes=(3,), num_shots=(20,), node_jitter=9.0), FLAT, (3, 20)),
    "nodes as receivers": (NodesConfig(num_nodes=(3,), num_shots=(20,), reciprocity=False), FLAT, (20, 3)),
    "nodes 3-D": (NodesConfig(num_nodes=(3, 2), num_shots=(7, 5), node_jitter=5.0), CUBE, (6, 35)),
    "streamer": (StreamerConfig(), FLAT, (8, 24)),
    "rolling streamer": (StreamerConfig(roll_on=True), FLAT, (8, 24)),
    "feathered streamers": (
        StreamerConfig(
            num_lines=2,
            num_cables=3,
            cable_spacing=40.0,
            num_sources=4,
            feathering=8.0,
            feathering_spread=3.0,
        ),
        CUBE,
        (8, 72),
    ),
    "vsp": (VspConfig(), FLAT, (8, 32)),
    "vsp 3-D": (VspConfig(num_sources=(3, 4), well=(100.0, 200.0), jitter=5.0), CUBE, (12, 32)),
    "crosswell": (CrosswellConfig(), FLAT, (8, 32)),
    "crosswell 3-D": (CrosswellConfig(source_well=(50.0, 60.0), interval=(0.2, 0.7)), CUBE, (8, 32)),
    "subset": (SubsetConfig(of=StreamerConfig(roll_on=True), num_sources=(3, 3)), FLAT, (3, 24)),
}
RANDOM = {
    "jittered",
    "areal",
    "nodes",
    "nodes 3-D",
    "feathered streamers",
    "vsp 3-D",
    "subset",
}


@pytest.mark.parametrize("name", SURVEYS)
def test_laws_of_every_survey(name):
    config, extent, traces = SURVEYS[name]
    survey = make(config, extent)
    assert (survey.num_sources, survey.num_receivers) == traces
    assert (survey.ndim, survey.dt, survey.nt) == (len(extent), DT, NT)
    survey.check_inside((0.0,) * len(extent), extent)
    assert make(config, extent) == survey
    assert (make(config, extent, seed=1) != survey) == (name in RANDOM)


def test_every_kind_is_in_the_table_or_comes_from_files():
    kinds = {c.__dataclass_fields__["kind"].default for c in get_args(AcquisitionConfig)}
    assert kinds == {config.kind for config, _, _ in SURVEYS.values()} | {"positions", "segy"}


@pytest.mark.parametrize("name", SURVEYS)
def test_configurations_pass_through_files(name):
    config = SURVEYS[name][0]
    text = TypeAdapter(AcquisitionConfig).dump_json(config)
    assert TypeAdapter(AcquisitionConfig).validate_json(text) == config
    with pytest.raises(ValueError, match="cells"):
        TypeAdapter(AcquisitionConfig).validate_python(asdict(config) | {"cells": 3})


def test_spread_is_that_of_the_class_method():
    config = SpreadConfig(num_sources=5, num_receivers=9, source_depth=3.0, receiver_depth=7.0, jitter=60.0)
    same = Acquisition.surface(
        FLAT,
        5,
        9,
        source_depth=3.0,
        receiver_depth=7.0,
        dt=DT,
        nt=NT,
        jitter=60.0,
        rng=np.random.default_rng(0),
    )
    assert make(config) == same


def test_areal_grid():
    survey = make(ArealConfig(num_sources=(2, 2), num_receivers=(2, 3)), CUBE)
    assert survey.sources[:, :2].tolist() == [[200.0, 150.0], [200.0, 450.0], [600.0, 150.0], [600.0, 450.0]]
    assert survey.receivers[:3, :2].tolist() == [[0.0, 0.0], [0.0, 300.0], [0.0, 600.0]]
    assert set(survey.receivers[:, 2]) == {25.0}


def test_reciprocal_nodes_exchange_the_roles():
    fired, recorded = (
        make(NodesConfig(num_nodes=(4,), num_shots=(30,), reciprocity=reciprocity))
        for reciprocity in (True, False)
    )
    assert np.array_equal(fired.sources, recorded.receivers)
    assert np.array_equal(fired.receivers, recorded.sources)
    assert fired.sources.tolist() == [[100.0, 100.0], [300.0, 100.0], [500.0, 100.0], [700.0, 100.0]]


def test_streamer_follows_its_source():
    config = StreamerConfig(num_sources=3, num_groups=5, group_interval=20.0, near_offset=60.0)
    survey = make(config)
    assert config.far_offset == 140.0
    assert survey.sources[:, 0].tolist() == [140.0, 470.0, 800.0]
    assert np.allclose(survey.distances(horizontal=True), [60.0, 80.0, 100.0, 120.0, 140.0])
    assert (survey.receivers[..., 0] < survey.sources[:, None, 0]).all()
    assert survey.live is None
    assert survey.receivers[0, -1].tolist() == [0.0, 8.0]


def test_streamer_rolls_on_with_dead_groups():
    survey = make(StreamerConfig(num_sources=3, num_groups=5, group_interval=20.0, roll_on=True))
    assert survey.sources[:, 0].tolist() == [50.0, 425.0, 800.0]
    assert survey.live.tolist() == [[True] + [False] * 4, [True] * 5, [True] * 5]
    offsets = survey.distances(horizontal=True)
    assert np.allclose(offsets[survey.live], [50.0] + [50.0, 70.0, 90.0, 110.0, 130.0] * 2)


def test_feathered_cables_turn_at_their_heads():
    config = StreamerConfig(
        num_sources=2, num_groups=3, group_interval=100.0, num_cables=2, cable_spacing=80.0, feathering=30.0
    )
    survey = make(config, CUBE)
    relative = (survey.receivers - survey.sources[:, None, :]).reshape(2, 2, 3, 3)
    assert np.allclose(relative[0], relative[1])
    assert np.allclose(relative[0, :, 0, :2], [[-50.0, -40.0], [-50.0, 40.0]])
    steps = np.diff(relative[0, 1, :, :2], axis=0)
    assert np.allclose(steps, 100.0 * np.array([-np.cos(np.pi / 6), 0.5]))


def test_feathering_varies_from_line_to_line():
    config = StreamerConfig(
        num_lines=200, num_sources=2, num_groups=2, group_interval=10.0, feathering=5.0, feathering_spread=4.0
    )
    survey = make(config, CUBE)
    along = (survey.receivers[:, 1] - survey.receivers[:, 0]).reshape(200, 2, 3)
    angles = np.rad2deg(np.arctan2(along[..., 1], -along[..., 0]))
    assert np.allclose(angles[:, 0], angles[:, 1])
    # 200 draws: the mean scatters by 0.28 degrees, the deviation by 0.2; four of them.
    assert angles[:, 0].mean() == pytest.approx(5.0, abs=1.2)
    assert angles[:, 0].std() == pytest.approx(4.0, abs=0.8)


def test_wells():
    survey = make(VspConfig(num_sources=(2,), num_receivers=3, interval=(0.25, 0.75)))
    assert survey.sources.tolist() == [[200.0, 25.0], [600.0, 25.0]]
    assert survey.receivers.tolist() == [[400.0, 100.0], [400.0, 200.0], [400.0, 300.0]]
    survey = make(CrosswellConfig(num_sources=2, num_receivers=1, interval=(0.0, 0.5)), CUBE)
    assert survey.sources.tolist() == [[0.0, 300.0, 0.0], [0.0, 300.0, 200.0]]
    assert survey.receivers.tolist() == [[800.0, 300.0, 100.0]]


def test_subset_takes_a_random_number_of_the_sources_in_order():
    whole = make(SpreadConfig(num_sources=8))
    config = SubsetConfig(of=SpreadConfig(num_sources=8), num_sources=(2, 5))
    counts = set()
    for seed in range(40):
        some = make(config, seed=seed)
        counts.add(some.num_sources)
        places = [whole.sources.tolist().index(source) for source in some.sources.tolist()]
        assert places == sorted(set(places))
    assert counts == {2, 3, 4, 5}


UNFIT = {
    "spread in 3-D": (SpreadConfig(), CUBE, r"2-D model for a survey of kind 'spread', .* use kind 'areal'"),
    "areal in 2-D": (ArealConfig(), FLAT, r"3-D model for a survey of kind 'areal', .* use kind 'spread'"),
    "nodes in 3-D": (NodesConfig(), CUBE, r"num_nodes with one number for each of the 2 .* got \(8,\)"),
    "vsp in 3-D": (VspConfig(), CUBE, r"num_sources with one number for each of the 2 horizontal axes"),
    "cables in 2-D": (
        StreamerConfig(num_cables=2),
        FLAT,
        "one line with one cable and no feathering in a 2-D",
    ),
    "feathering in 2-D": (StreamerConfig(feathering=3.0), FLAT, "these need a 3-D model"),
    "long cable": (
        StreamerConfig(num_groups=100),
        FLAT,
        "far offset within the model's width of 800 m, got 1287.5 m: use fewer groups, or set roll_on",
    ),
    "far tow": (
        StreamerConfig(near_offset=900.0, roll_on=True),
        FLAT,
        "near offset within the model's width of 800 m, got 900 m: tow closer",
    ),
    "wide cables": (
        StreamerConfig(num_cables=9),
        CUBE,
        "all cables inside .* groups outside in 8 of 8 shots: shorten or turn the cables, or set roll_on",
    ),
    "deep spread": (SpreadConfig(source_depth=500.0), FLAT, "sources inside the model, .* 8 of 8 outside"),
    "well outside": (VspConfig(well=(900.0,)), FLAT, "receivers inside the model, .* 32 of 32 outside"),
    "well in 2-D": (CrosswellConfig(source_well=(1.0, 2.0)), FLAT, "1 horizontal coordinates of a well"),
    "large subset": (
        SubsetConfig(of=VspConfig(), num_sources=(4, 9)),
        FLAT,
        r"a subset of at most 8 sources, as the survey of kind 'vsp' has, got num_sources \(4, 9\)",
    ),
}


@pytest.mark.parametrize(("config", "extent", "message"), UNFIT.values(), ids=UNFIT.keys())
def test_survey_that_does_not_fit_is_refused(config, extent, message):
    with pytest.raises(GeometryError, match=message):
        make(config, extent)


BAD = {
    "no sources": (
        lambda: SpreadConfig(num_sources=0),
        "acquisition.num_sources: expected at least 1, got 0",
    ),
    "jitter": (lambda: SpreadConfig(jitter=-1.0), "acquisition.jitter: expected at least 0, got -1"),
    "counts": (lambda: ArealConfig(num_sources=(0, 3)), r"acquisition.num_sources: expected one count of"),
    "axes": (lambda: NodesConfig(num_nodes=(1, 2, 3)), r"one count of at least 1 for each horizontal axis"),
    "groups": (lambda: StreamerConfig(group_interval=0.0), "group_interval: expected positive metres"),
    "angle": (
        lambda: StreamerConfig(feathering=80.0),
        r"feathering: expected an angle in \[-45, 45\], got 80",
    ),
    "interval": (lambda: VspConfig(interval=(0.5, 0.2)), "interval: expected 0 <= top < bottom <= 1"),
    "crosswell": (lambda: CrosswellConfig(interval=(0.5, 1.2)), "interval: expected 0 <= top < bottom <= 1"),
    "subset": (lambda: SubsetConfig(of=VspConfig(), num_sources=(5, 4)), "with 1 <= min <= max, got"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD.keys())
def test_bad_configuration_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
