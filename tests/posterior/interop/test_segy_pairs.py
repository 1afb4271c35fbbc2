"""Models and images in SEG-Y files as pairs: positions give the grid, grids must agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posterior.dataset import PairDataset
from posterior.interop.arrays import PairLabels, write_dataset

pytest.importorskip("segyio", reason="needs the optional extra segy")

from posterior.interop.segy import SegyGrid, SegyUnits, write_segy
from posterior.interop.segy_pairs import SegyFiles, read_segy_pairs, spacing_of


def files(folder: Path, shape: tuple[int, ...], names: str, **how) -> dict[str, tuple[Path, np.ndarray]]:
    axes = len(shape)
    spacing, origin = (25.0, 12.5, 10.0)[-axes:], (1e5, 5e5, 30.0)[-axes:]
    found = {}
    for number, name in enumerate(names):
        values = np.random.default_rng(number).normal(size=shape).astype(np.float32)
        write_segy(folder / f"{name}.sgy", values, SegyGrid.regular(shape, spacing, origin), **how)
        found[name] = (folder / f"{name}.sgy", values)
    return found


@pytest.mark.parametrize("floats", ["ieee", "ibm"])
def test_lines_become_a_dataset(tmp_path, floats):
    line = files(tmp_path, (6, 5), "xab", floats=floats)
    block, spacing, origin = read_segy_pairs(SegyFiles(x=(line["x"][0],), y=(line["a"][0], line["b"][0])))
    assert (spacing, origin) == ((12.5, 10.0), (0.0, 30.0))
    labels = PairLabels(
        x_channels=("velocity",),
        x_units=("m/s",),
        y_channels=("image", "background"),
        y_units=("1", "m/s"),
        spacing=spacing,
        origin=origin,
    )
    write_dataset(tmp_path / "train", [block], labels, source={})
    x, y = PairDataset(tmp_path / "train")[0]
    np.testing.assert_allclose(x[0], line["x"][1], rtol=2.0**-20)
    np.testing.assert_allclose(y, np.stack([line["a"][1], line["b"][1]]), rtol=2.0**-20)


def test_inlines_of_volumes_become_pairs(tmp_path):
    volume = files(tmp_path, (3, 6, 5), "xa")
    both = SegyFiles(x=(volume["x"][0],), y=(volume["a"][0],))
    whole = read_segy_pairs(both)
    assert whole.block.x.shape == (1, 1, 3, 6, 5)
    assert whole.spacing == (25.0, 12.5, 10.0)
    cut = read_segy_pairs(replace(both, sections=True))
    np.testing.assert_array_equal(cut.block.x[:, 0], volume["x"][1])
    np.testing.assert_array_equal(cut.block.y[:, 0], volume["a"][1])
    assert (cut.spacing, cut.origin) == ((12.5, 10.0), (0.0, 30.0))


def test_an_unknown_truth_is_zero(tmp_path):
    line = files(tmp_path, (6, 5), "ab")
    block, *_ = read_segy_pairs(SegyFiles(y=(line["a"][0], line["b"][0])))
    assert block.x.shape == (1, 1, 6, 5)
    assert not block.x.any()


def test_lines_in_any_direction_have_their_spacing():
    along = np.arange(5.0)
    number = np.arange(5)
    grid = SegyGrid(0 * number, number, 3e5 + 15.0 * along, 6e6 - 20.0 * along, 10.0)
    assert spacing_of(grid) == pytest.approx((25.0, 10.0), rel=1e-9)
    still = replace(grid, x=0.0 * along, y=0.0 * along)
    uneven = replace(grid, x=along**2)
    for bad in (still, uneven):
        with pytest.raises(ValueError, match="state the spacing"):
            spacing_of(bad)


def test_stated_spacing_stands_in_for_headers(tmp_path):
    line = files(tmp_path, (6, 5), "a")
    grid = SegyGrid.regular((6, 5), (12.5, 10.0), (0.0, 0.0))
    write_segy(line["a"][0], line["a"][1], replace(grid, x=np.zeros(6)))
    one = SegyFiles(y=(line["a"][0],))
    with pytest.raises(ValueError, match="steps of 0 to 0 m"):
        read_segy_pairs(one)
    assert read_segy_pairs(one, (20.0, 5.0)).spacing == (20.0, 5.0)
    with pytest.raises(ValueError, match="each of 2 axes"):
        read_segy_pairs(one, (20.0,))


def test_files_on_other_grids_are_refused(tmp_path):
    line = files(tmp_path, (6, 5), "ab")
    other = tmp_path / "other.sgy"
    both = SegyFiles(y=(line["a"][0], other))
    grid = SegyGrid.regular((6, 5), (12.5, 10.0), (5e5, 30.0))
    write_segy(other, np.ones((6, 5)), replace(grid, first=40.0))
    with pytest.raises(ValueError, match=r"other.sgy: .* with another first"):
        read_segy_pairs(both)
    write_segy(other, np.ones((6, 4)), grid)
    with pytest.raises(ValueError, match=r"\(6, 5\), got \(6, 4\)"):
        read_segy_pairs(both)
    with pytest.raises(ValueError, match="got time"):
        read_segy_pairs(replace(both, y=(line["a"][0],), units=SegyUnits(domain="time")))
    with pytest.raises(ValueError, match="at least one file"):
        read_segy_pairs(SegyFiles(y=()))
