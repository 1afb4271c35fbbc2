"""Reading pairs: what a good dataset gives, and every bad one refused by name."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from posterior.dataset import PairDataset, TensorPairs
from posterior.standardise import Standardiser


@pytest.fixture
def folder(tmp_path, write_pairs) -> Path:
    return write_pairs(tmp_path / "train", count=7, shard=4)


def shard(folder: Path, number: int = 0) -> Path:
    return folder / f"shard-{number:06d}.h5"


def readmit(folder: Path, number: int = 0) -> None:
    """Enter a changed shard into the manifest, as an attacker or a careless script would."""
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    data = shard(folder, number).read_bytes()
    lines[number] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("memory", [0, 1 << 30], ids=["lazy", "held"])
def test_pairs_are_those_of_the_shards(folder, memory):
    pairs = PairDataset(folder, memory=memory)
    assert len(pairs) == 7
    with h5py.File(shard(folder, 1)) as file:
        for name, values in zip("xy", pairs[5], strict=True):
            assert values.dtype == torch.float32
            np.testing.assert_array_equal(values.numpy(), file[name][1])
    np.testing.assert_array_equal(pairs[-1][0], pairs[6][0])
    with pytest.raises(IndexError, match="below 7, got 7"):
        pairs[7]


def test_attributes(folder):
    pairs = PairDataset(folder)
    assert (pairs.x_shape, pairs.y_shape) == ((1, 8, 8), (2, 8, 8))
    assert pairs.x_units == ("s^2/m^2",)
    assert pairs.y_channels == ("migrated image", "background squared slowness")
    assert (pairs.spacing, pairs.origin) == ((12.5, 12.5), (0.0, 0.0))
    assert pairs.index.tolist() == list(range(7))
    assert pairs.index.dtype == np.int64
    assert pairs.scored.shape == (8, 8)
    assert pairs.scored.dtype == bool
    assert pairs.depth_weight.shape == (8,)
    np.testing.assert_array_equal(pairs.snr_db, 12.0)
    assert pairs.config["stream"] == "train"


def test_fingerprint_follows_the_content(folder, tmp_path, write_pairs):
    other = write_pairs(tmp_path / "other" / "train", count=7, shard=4, seed=1)
    assert PairDataset(folder).fingerprint == PairDataset(folder, memory=0).fingerprint
    assert PairDataset(folder).fingerprint != PairDataset(other).fingerprint


def test_lazy_dataset_can_be_sent_to_another_process(folder):
    pairs = pickle.loads(pickle.dumps(PairDataset(folder, memory=0)))
    loader = torch.utils.data.DataLoader(pairs, batch_size=7, num_workers=1)
    torch.testing.assert_close(next(iter(loader))[0], torch.stack([x for x, _ in PairDataset(folder)]))


def test_unfinished_simulation_is_refused_unless_asked_for(folder):
    lines = (folder / "manifest.jsonl").read_text().splitlines(keepends=True)
    (folder / "manifest.jsonl").write_text(lines[0] + lines[1][:40])  # the writer was killed while appending
    with pytest.raises(ValueError, match="expected 7 pairs, got 4: the simulation has not finished"):
        PairDataset(folder)
    assert len(PairDataset(folder, partial=True)) == 4


def test_failed_draws_count_as_done(folder):
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    head = json.loads((folder / "dataset.json").read_text()) | {"count": 8}
    lines[1]["failed"] = [{"index": 7, "error": "not finite"}]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "dataset.json").write_text(json.dumps(head))
    assert len(PairDataset(folder)) == 7


def _edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _edit_shard(folder: Path, change) -> None:
    with h5py.File(shard(folder), "r+") as file:
        change(file)
    readmit(folder)


def _rename_in_manifest(folder: Path, name: str) -> None:
    text = (folder / "manifest.jsonl").read_text()
    (folder / "manifest.jsonl").write_text(text.replace("shard-000000.h5", name))


def _flip(folder: Path, share: float) -> None:
    data = bytearray(shard(folder).read_bytes())
    data[int(share * (len(data) - 1))] ^= 1
    shard(folder).write_bytes(data)


def _replace(file: h5py.File, name: str, **options: object) -> None:
    del file[name]
    file.create_dataset(name, **options)


def _external_storage(folder: Path) -> None:
    (folder / "outside.bin").write_bytes(bytes(4 * 64 * 4))
    _edit_shard(
        folder,
        lambda f: _replace(f, "x", shape=(4, 1, 8, 8), dtype="f4", external=[("outside.bin", 0, 4 * 64 * 4)]),
    )


def _external_link(folder: Path) -> None:
    def change(file):
        del file["x"]
        file["x"] = h5py.ExternalLink("shard-000001.h5", "/x")

    _edit_shard(folder, change)


def _soft_link(folder: Path) -> None:
    def change(file):
        del file["index"]
        file["index"] = h5py.SoftLink("/snr_db")

    _edit_shard(folder, change)


def _virtual(folder: Path) -> None:
    def change(file):
        layout = h5py.VirtualLayout((4, 1, 8, 8), "f4")
        layout[:] = h5py.VirtualSource("shard-000001.h5", "x", (4, 1, 8, 8))
        del file["x"]
        file.create_virtual_dataset("x", layout)

    _edit_shard(folder, change)


def _not_finite(folder: Path) -> None:
    def change(file):
        file["y"][2, 0, 3, 3] = np.nan

    _edit_shard(folder, change)


BAD = {
    "no dataset": (lambda f: (f / "dataset.json").unlink(), FileNotFoundError, "dataset.json: not there"),
    "dataset of another schema": (
        lambda f: _edit_json(f / "dataset.json", schema="seispost-pairs/9"),
        ValueError,
        "expected schema 'seispost-pairs/1', got 'seispost-pairs/9'",
    ),
    "edited configuration": (
        lambda f: _edit_json(f / "dataset.json", config={"seed": 9}),
        ValueError,
        "expected config_hash",
    ),
    "dataset.json torn": (
        lambda f: (f / "dataset.json").write_text("{"),
        ValueError,
        "expected the JSON of a dataset",
    ),
    "shards of two runs": (
        lambda f: _edit_json(f / "dataset.json", config={}, config_hash=hashlib.sha256(b"{}").hexdigest()),
        ValueError,
        "shards of two runs in one folder",
    ),
    "no manifest": (lambda f: (f / "manifest.jsonl").unlink(), ValueError, "expected 7 pairs, got 0"),
    "manifest line damaged": (
        lambda f: (f / "manifest.jsonl").write_text("{}\n"),
        ValueError,
        "line 1: expected a JSON object for one shard",
    ),
    "manifest points outside": (
        lambda f: _rename_in_manifest(f, "../secret.h5"),
        ValueError,
        "expected a plain file name like shard-000000.h5, got '../secret.h5'",
    ),
    "shard missing": (lambda f: shard(f).unlink(), FileNotFoundError, "named by the manifest but not there"),
    "shard truncated": (
        lambda f: shard(f).write_bytes(shard(f).read_bytes()[:-100]),
        ValueError,
        r"expected \d+ bytes by the manifest, got \d+ \(truncated",
    ),
    "flipped bit at the start": (lambda f: _flip(f, 0.0), ValueError, "shard-000000.h5: expected sha256"),
    "flipped bit in the data": (lambda f: _flip(f, 0.6), ValueError, "shard-000000.h5: expected sha256"),
    "flipped bit at the end": (lambda f: _flip(f, 1.0), ValueError, "shard-000000.h5: expected sha256"),
    "no HDF5": (
        lambda f: (shard(f).write_bytes(b"not hdf5"), readmit(f)),
        ValueError,
        "expected an HDF5 file of schema",
    ),
    "shard of another schema": (
        lambda f: _edit_shard(f, lambda file: file.attrs.update({"schema": "other"})),
        ValueError,
        "expected schema 'seispost-pairs/1', got 'other'",
    ),
    "shard of another configuration": (
        lambda f: _edit_shard(f, lambda file: file.attrs.update({"config_hash": "abc"})),
        ValueError,
        "expected config_hash",
    ),
    "dataset missing": (
        lambda f: _edit_shard(f, lambda file: file.__delitem__("scored")),
        ValueError,
        "expected a dataset 'scored'",
    ),
    "another shape": (
        lambda f: _edit_shard(f, lambda file: _replace(file, "index", data=np.arange(3))),
        ValueError,
        r"expected 'index' of shape \(4,\), got \(3,\)",
    ),
    "another type": (
        lambda f: _edit_shard(f, lambda file: _replace(file, "index", data=["a"] * 4)),
        ValueError,
        "expected 'index' of kind",
    ),
    "no channel names": (
        lambda f: _edit_shard(f, lambda file: file["y"].attrs.update({"channels": '["one"]'})),
        ValueError,
        "expected attribute 'channels' of /y to be a JSON list of 2 names",
    ),
    "bomb": (
        lambda f: _edit_shard(
            f, lambda file: _replace(file, "x", shape=(4, 1, 10**6, 10**6), dtype="f4", chunks=(1, 1, 9, 9))
        ),
        ValueError,
        "claims 16000000000000 bytes but stores 0; refused",
    ),
    "external storage": (_external_storage, ValueError, "external or virtual storage"),
    "external link": (_external_link, ValueError, "expected 'x' to lie in the file, got a ExternalLink"),
    "soft link": (_soft_link, ValueError, "expected 'index' to lie in the file, got a SoftLink"),
    "virtual dataset": (_virtual, ValueError, "external or virtual storage"),
    "not finite": (_not_finite, ValueError, "y of pair 2 is not finite"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused(folder, case):
    tamper, error, message = case
    tamper(folder)
    with pytest.raises(error, match=message):
        PairDataset(folder)


def test_standardiser_is_the_moments_of_all_cells():
    rng = np.random.default_rng(0)
    x, y = rng.normal(2e-8, 1e-8, (20, 1, 6, 5)), rng.normal(3.0, 7.0, (20, 2, 6, 5))
    fitted = Standardiser.fit(TensorPairs(torch.tensor(x), torch.tensor(y)))
    # float32 storage limits agreement to about 1e-7; ddof changes the std by less than 1e-3 / 2 of itself
    np.testing.assert_allclose(fitted.x_mean, x.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(fitted.x_std, x.std((0, 2, 3), ddof=1), rtol=1e-6)
    np.testing.assert_allclose(fitted.y_mean, y.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(fitted.y_std, y.std((0, 2, 3), ddof=1), rtol=1e-6)


def test_standardiser_is_an_affine_map_with_its_volume():
    fitted = Standardiser((1.0, -2.0), (0.5, 3.0), (0.0,), (2.0,))
    x = torch.randn(3, 2, 4, 2, dtype=torch.float64)
    torch.testing.assert_close(fitted.restore_x(fitted.standardise_x(x)), x, rtol=0, atol=1e-15)
    jacobian = torch.autograd.functional.jacobian(lambda v: fitted.standardise_x(v), x[:1]).reshape(16, 16)
    assert torch.linalg.slogdet(jacobian)[1].item() == pytest.approx(fitted.log_volume(8), abs=1e-13)
    assert Standardiser.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


def test_constant_channels():
    varying, constant = torch.randn(5, 1, 4, 4), torch.full((5, 1, 4, 4), 3.3e-7)
    fitted = Standardiser.fit(TensorPairs(varying, constant))
    assert fitted.y_std == (1.0,)
    with pytest.raises(ValueError, match="expected every channel of x to vary, got constant channel 0"):
        Standardiser.fit(TensorPairs(constant, varying))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Standardiser((0.0,), (0.0,), (0.0,), (1.0,)), "expected a finite mean and a positive std"),
        (lambda: Standardiser.from_json({"x_mean": [0.0]}), "expected a standardiser with"),
        (
            lambda: Standardiser.identity(1, 1).standardise_x(torch.zeros(1, 2, 4)),
            r"expected 1 channels, got shape \(1, 2, 4\)",
        ),
        (
            lambda: Standardiser.fit(TensorPairs(torch.full((2, 1, 4), torch.nan), torch.zeros(2, 1, 4))),
            "got nan or inf in x of pair 0",
        ),
        (lambda: TensorPairs(torch.zeros(2, 1), torch.zeros(3, 1)), r"got \(2, 1\) and \(3, 1\)"),
        (
            lambda: TensorPairs(torch.zeros(2, 1), torch.zeros(2, 1), y_channels=("a", "b")),
            "expected 1 channel names for y",
        ),
    ],
)
def test_errors_say_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
