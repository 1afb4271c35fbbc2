"""Arrays of others become datasets that ours reads; what does not fit is refused and leaves nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from posterior.dataset import PairDataset
from posterior.interop.arrays import Block, PairLabels, described, in_blocks, write_dataset
from posterior.interop.hdf5_pairs import Stored, read_hdf5_pairs
from posterior.interop.openfwi import fold, match_files, openfwi_labels, read_openfwi, shapes, unfold

LABELS = PairLabels(
    x_channels=("velocity",),
    x_units=("m/s",),
    y_channels=("image", "background"),
    y_units=("1", "m/s"),
    spacing=(12.5, 10.0),
    origin=(0.0, 50.0),
)


def block(count: int = 3, seed: int = 0, shape: tuple[int, ...] = (4, 5)) -> Block:
    rng = np.random.default_rng(seed)
    return Block(rng.normal(size=(count, 1, *shape)), rng.normal(size=(count, 2, *shape)).astype(np.float32))


def test_blocks_become_a_dataset(tmp_path):
    blocks = [block(3), block(2, seed=1)]
    assert write_dataset(tmp_path / "train", iter(blocks), LABELS, source={"by": "hand"}) == 5
    pairs = PairDataset(tmp_path / "train")
    assert len(pairs) == 5
    assert pairs.index.tolist() == [0, 1, 2, 3, 4]
    for name in ("x_channels", "x_units", "y_channels", "y_units", "spacing", "origin"):
        assert getattr(pairs, name) == getattr(LABELS, name)
    for position in range(5):
        part, row = (blocks[0], position) if position < 3 else (blocks[1], position - 3)
        np.testing.assert_array_equal(pairs[position][0], part.x[row].astype(np.float32))
        np.testing.assert_array_equal(pairs[position][1], part.y[row])
    assert pairs.scored.all()
    assert np.isnan(pairs.snr_db).all()
    assert (pairs.depth_weight == 1.0).all()
    assert pairs.config == {"imported": {"by": "hand"}}
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


def test_equal_pairs_make_equal_datasets(tmp_path):
    fingerprints = set()
    for name in "ab":
        write_dataset(tmp_path / name, [block()], LABELS, source={})
        fingerprints.add(PairDataset(tmp_path / name).fingerprint)
    assert len(fingerprints) == 1


def test_unknown_truths_are_not_scored(tmp_path):
    labels = replace(LABELS, known=False, depth_weight=(0.0, 0.25, 0.5, 0.75, 1.0))
    write_dataset(tmp_path / "field", [block()], labels, source={})
    pairs = PairDataset(tmp_path / "field")
    assert not pairs.scored.any()
    assert pairs.depth_weight.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_volumes_too(tmp_path):
    labels = replace(LABELS, spacing=(1.0, 2.0, 3.0), origin=(0.0, 0.0, 0.0))
    write_dataset(tmp_path / "v", [block(shape=(2, 3, 4))], labels, source={})
    assert PairDataset(tmp_path / "v").x_shape == (1, 2, 3, 4)


def _broken(what: str) -> list[Block]:
    good, bad = block(), block()
    if what == "nan":
        bad.x[1, 0, 2, 2] = np.nan
    elif what == "overflow":
        bad.x[1, 0, 2, 2] = 1e39
    changed = {
        "channels": [good, Block(bad.x, bad.y[:, :1])],
        "grids": [good, block(shape=(4, 6))],
        "count": [good, Block(bad.x[:2], bad.y)],
        "complex": [Block(bad.x * 1j, bad.y)],
        "axes": [block(shape=(4,))],
        "none": [],
        "empty": [block(0)],
    }
    return changed.get(what, [good, bad])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "x of pair 4"),
        ("overflow", "x of pair 4"),
        ("channels", r"expected y of shape \(3, 2, 4, 5\)"),
        ("grids", r"expected x of shape \(3, 1, 4, 5\)"),
        ("count", r"expected y of shape \(2, 2, 4, 5\)"),
        ("complex", "real numbers in x, got complex128"),
        ("axes", "2 axes of the grid"),
        ("none", "at least one pair"),
        ("empty", "expected x of shape"),
    ],
)
def test_what_does_not_fit_leaves_nothing(tmp_path, what, message):
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path / "train", _broken(what), LABELS, source={})
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="a new or an empty folder"):
        write_dataset(tmp_path, [block()], LABELS, source={})
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_labels_are_whole():
    with pytest.raises(ValueError, match="a name and a unit"):
        replace(LABELS, x_units=("",))
    with pytest.raises(ValueError, match="a name and a unit"):
        replace(LABELS, y_units=("1",))
    with pytest.raises(ValueError, match="a positive spacing"):
        replace(LABELS, spacing=(0.0, 1.0))
    with pytest.raises(ValueError, match="an origin for each axis"):
        replace(LABELS, origin=(0.0,))


def test_blocks_cover_all():
    assert list(in_blocks(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(in_blocks(0)) == []


def test_files_are_described_by_their_sums(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    assert described([tmp_path / "a.bin"]) == [
        {"file": "a.bin", "sha256": hashlib.sha256(b"abc").hexdigest()}
    ]


@pytest.mark.parametrize("axes", ["nczx", "ncxz", "znxc", "nzx"])
def test_hdf5_axes_are_turned_as_stated(tmp_path, axes):
    x, y = block(70)
    kept = x if "c" in axes else x[:, 0]
    order = [axis for axis in "ncxz" if axis in axes]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/X"] = np.transpose(kept, [order.index(axis) for axis in axes])
        file["Y"] = y
    found = list(read_hdf5_pairs(tmp_path / "a.h5", Stored("deep/X", axes), Stored("/Y", "ncxz")))
    assert [len(part.x) for part in found] == [64, 6]
    np.testing.assert_array_equal(np.concatenate([part.x for part in found]), x)
    np.testing.assert_array_equal(np.concatenate([part.y for part in found]), y)


def test_one_pair_without_axes_for_pairs_and_channels(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["m"], file["d"] = np.arange(6.0).reshape(3, 2), np.ones((2, 3))
    (found,) = read_hdf5_pairs(tmp_path / "a.h5", Stored("m", "zx"), Stored("d", "xz"))
    assert found.x.shape == found.y.shape == (1, 1, 2, 3)
    assert found.x[0, 0].tolist() == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]


def _h5(folder: Path, what: str) -> Path:
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["X"] = np.ones((3, 1, 4, 5))
        file["Y"] = np.ones((2 if what == "count" else 3, 1, 4, 5))
        if what == "external link":
            file["other"] = h5py.ExternalLink("/etc/passwd", "x")
        if what == "soft link":
            file["g/other"] = h5py.SoftLink("/X")
        if what == "external storage":
            file.create_dataset("raw", (16,), "u1", external=[("/etc/passwd", 0, 16)])
        if what == "virtual":
            layout = h5py.VirtualLayout((4, 5), "f8")
            layout[:] = h5py.VirtualSource(str(folder / "b.h5"), "X", (4, 5))
            file.create_virtual_dataset("V", layout)
        if what == "bomb":
            file.create_dataset("huge", (10**6, 10**6), "f8", chunks=(10**3, 10**3))
        if what == "group":
            del file["Y"]
            file.create_group("Y")
        if what == "loop":
            file["g/self"] = file["/"]
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    if what == "text":
        path.write_text("X = 1")
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("external link", "got a ExternalLink"),
        ("soft link", "got a SoftLink"),
        ("external storage", "external or virtual"),
        ("virtual", "external or virtual"),
        ("bomb", "refused"),
        ("truncated", "expected a whole HDF5 file"),
        ("text", "expected a whole HDF5 file"),
        ("count", "as many pairs"),
        ("group", "plain dataset"),
    ],
)
def test_hdf5_files_that_lead_elsewhere_or_are_broken(tmp_path, what, message):
    with pytest.raises(ValueError, match=message):
        list(read_hdf5_pairs(_h5(tmp_path, what), Stored("X", "ncxz"), Stored("Y", "ncxz")))


def test_hdf5_groups_in_circles_end(tmp_path):
    (found,) = read_hdf5_pairs(_h5(tmp_path, "loop"), Stored("X", "ncxz"), Stored("Y", "ncxz"))
    assert found.x.shape == (3, 1, 4, 5)


def test_hdf5_names_and_axes_that_are_not_there(tmp_path):
    path = _h5(tmp_path, "")
    with pytest.raises(ValueError, match=r"'g/Z', got \['X', 'Y'\]"):
        list(read_hdf5_pairs(path, Stored("g/Z", "ncxz"), Stored("Y", "ncxz")))
    with pytest.raises(ValueError, match="with the 3 axes 'nxz'"):
        list(read_hdf5_pairs(path, Stored("X", "nxz"), Stored("Y", "ncxz")))
    for axes in ("nq", "nzz", "ncx"):
        with pytest.raises(ValueError, match="each once, with a z"):
            Stored("X", axes)
    with pytest.raises(FileNotFoundError, match="got none"):
        list(read_hdf5_pairs(tmp_path / "b.h5", Stored("X", "ncxz"), Stored("Y", "ncxz")))


def openfwi(folder: Path, count: int = 3, *, nt: int = 23, number: int = 1) -> tuple[Path, Path]:
    """Small files laid out as OpenFWI's: 2 sources, nx = 6, nz = 5."""
    rng = np.random.default_rng(number)
    data, model = folder / f"data{number}.npy", folder / f"model{number}.npy"
    np.save(data, rng.normal(size=(count, 2, nt, 6)).astype(np.float32))
    np.save(model, rng.uniform(1500.0, 4500.0, size=(count, 1, 5, 6)).astype(np.float32))
    return data, model


@pytest.mark.parametrize("nt", [20, 23, 1])
def test_openfwi_pairs_are_folded_without_loss(tmp_path, nt):
    files = match_files([*openfwi(tmp_path, nt=nt), *openfwi(tmp_path, nt=nt, number=2)][::-1])
    (_, sources, samples, _), depths = shapes(files[0])
    labels = openfwi_labels(sources, samples, depths)
    assert write_dataset(tmp_path / "train", read_openfwi(files), labels, source={}) == 6
    pairs = PairDataset(tmp_path / "train")
    assert pairs.x_shape == (1, 6, 5)
    assert pairs.y_channels[0] == "source_0_phase_0"
    for position, name in enumerate((files[0], files[1])):
        data, model = np.load(name.data), np.load(name.model)
        x = np.stack([pairs[3 * position + row][0].numpy() for row in range(3)])
        y = np.stack([pairs[3 * position + row][1].numpy() for row in range(3)])
        np.testing.assert_array_equal(x[:, 0], model[:, 0].swapaxes(1, 2))
        np.testing.assert_array_equal(unfold(y, 2, nt), data)


def test_fold_is_its_formula():
    records = np.random.default_rng(0).normal(size=(2, 3, 11, 4))
    y = fold(records, 4)
    assert y.shape == (2, 9, 4, 4)  # p = ceil(11 / 4) = 3
    for s, j, r, k in np.ndindex(3, 3, 4, 4):
        expected = records[:, s, 3 * k + j, r] if 3 * k + j < 11 else 0.0
        np.testing.assert_array_equal(y[:, 3 * s + j, r, k], expected)


def test_openfwi_files_of_both_families_are_matched(tmp_path):
    names = ["seis2_1_0.npy", "vel2_1_0.npy", "model10.npy", "data10.npy"]
    found = match_files([tmp_path / name for name in names])
    assert [(pair.data.name, pair.model.name) for pair in found] == [
        ("seis2_1_0.npy", "vel2_1_0.npy"),
        ("data10.npy", "model10.npy"),
    ]
    with pytest.raises(ValueError, match=r"\['data1.npy'\] alone"):
        match_files(["data1.npy", "vel1.npy", "seis1.npy"])
    with pytest.raises(ValueError, match=r"got 'other\.npy'"):
        match_files(["other.npy"])


def test_openfwi_files_that_do_not_fit(tmp_path):
    data, model = openfwi(tmp_path)
    files = match_files([data, model])
    np.save(model, np.ones((3, 1, 5, 7)))
    with pytest.raises(ValueError, match=r"got \(3, 2, 23, 6\) and \(3, 1, 5, 7\)"):
        list(read_openfwi(files))
    np.save(model, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        list(read_openfwi(files))
    model.write_bytes(data.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"expected a whole \.npy file"):
        list(read_openfwi(files))
    model.unlink()
    with pytest.raises(FileNotFoundError, match=r"expected an \.npy file"):
        list(read_openfwi(files))
