"""Registry of public earth models: where files are found, and that no other bytes are ever used."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from physics import registry
from physics.registry import ModelUnavailable, list_models, load_model, resolve_model

REAL = [
    base.parent / "shared" / "data" / "marmousi_vp_1601x401_f32.bin"
    for base in (Path.cwd(), registry._PROJECT)
]
VP = np.linspace(1.5, 4.5, 6, dtype="<f4").reshape(3, 2)


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, nothing beside the project and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SEISPOST_DATA", raising=False)
    work = tmp_path / "work" / "project"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr(registry, "_PROJECT", work)
    monkeypatch.setattr(registry, "_RETRIES", 0)
    return tmp_path


@pytest.fixture
def tiny(empty_machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same machine, with a registry of one tiny model whose address is a folder of this machine."""
    entry = registry.ModelEntry(
        url="http://127.0.0.1:9/tiny.bin",
        licence="none",
        sha256=hashlib.sha256(VP.tobytes()).hexdigest(),
        shape=(3, 2),
        spacing=5.0,
        dtype="<f4",
        unit="km/s",
        local=("tiny.bin", "other-name"),
    )
    monkeypatch.setattr(registry, "list_models", lambda: {"tiny": entry})
    return empty_machine


def test_every_entry_is_complete() -> None:
    models = list_models()
    assert models["marmousi"].shape == (1601, 401)
    for name, entry in models.items():
        assert len(entry.sha256) == 64, name
        assert entry.unit in ("m/s", "km/s"), name
        assert entry.url.startswith("https://"), name
        assert entry.licence, name
        assert entry.local, name


@pytest.mark.parametrize("place", ["cache/seispost", "named", "work/shared/data"])
@pytest.mark.parametrize("file", ["tiny.bin", "other-name"])
def test_a_file_on_this_machine_is_used(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, place: str, file: str
) -> None:
    monkeypatch.setenv("SEISPOST_DATA", str(tiny / "named"))
    (tiny / place).mkdir(parents=True)
    (tiny / place / file).write_bytes(VP.tobytes())
    vp, spacing = load_model("tiny")
    np.testing.assert_allclose(vp, VP * 1000.0, rtol=1e-6)
    assert (vp.dtype, spacing) == (np.float32, 5.0)


def test_a_file_with_another_sum_is_named_and_passed_over(
    tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for place, data in (("cache/seispost", b"damaged"), ("work/shared/data", VP.tobytes())):
        (tiny / place).mkdir(parents=True)
        (tiny / place / "tiny.bin").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        vp, _ = load_model("tiny")
    np.testing.assert_allclose(vp, VP * 1000.0, rtol=1e-6)
    assert "is not used: expected sha256" in caplog.text
    assert str(tiny / "cache/seispost/tiny.bin") in caplog.text


def test_without_file_and_network_the_model_is_unavailable(tiny: Path) -> None:
    with pytest.raises(
        ModelUnavailable, match="not on this machine and could not be downloaded from http://127"
    ) as e:
        load_model("tiny", quiet=True)
    assert isinstance(e.value, OSError)
    assert "SEISPOST_DATA" in str(e.value)


def test_a_download_lands_in_the_cache_and_is_not_fetched_again(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def downloader(**_: object) -> Callable[[str, str, object], object]:
        def download(url: str, output: str, pooch: object) -> None:
            calls.append(url)
            Path(output).write_bytes(VP.tobytes())

        return download

    monkeypatch.setattr(registry.pooch, "HTTPDownloader", downloader)
    for _ in range(2):
        vp, _spacing = load_model("tiny", quiet=True)
        np.testing.assert_allclose(vp, VP * 1000.0, rtol=1e-6)
    assert calls == ["http://127.0.0.1:9/tiny.bin"]
    assert (tiny / "cache/seispost/tiny.bin").is_file()


def test_a_download_with_another_sum_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def downloader(**_: object) -> Callable[[str, str, object], object]:
        return lambda url, output, pooch: Path(output).write_bytes(b"<html>not found</html>")

    monkeypatch.setattr(registry.pooch, "HTTPDownloader", downloader)
    with pytest.raises(ModelUnavailable, match=r"(?s)hash.*does not match"):
        load_model("tiny", quiet=True)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"expected an earth model of the registry \(marmousi.*\), got 'marmoset'"
    ):
        load_model("marmoset")


@pytest.mark.skipif(not any(path.is_file() for path in REAL), reason="no copy of Marmousi beside the project")
def test_marmousi() -> None:
    vp, spacing = load_model("marmousi", quiet=True)
    assert (vp.shape, spacing) == ((1601, 401), 7.5)
    np.testing.assert_allclose([vp.min(), vp.max()], [1028.0, 4700.0], rtol=1e-6)
    # Water on top: the axes are (x, z) with depth last.
    np.testing.assert_allclose(vp[:, 0], 1500.0, rtol=1e-6)


def test_a_file_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "mine.npy"
    np.save(path, VP.astype(np.float64) * 1000.0)
    vp, spacing = resolve_model(str(path), 12.5)
    np.testing.assert_allclose(vp, VP * 1000.0, rtol=1e-6)
    assert (vp.dtype, spacing) == (np.float32, 12.5)


@pytest.mark.parametrize(
    ("content", "spacing", "message"),
    [
        (VP, None, "model_spacing: expected the grid spacing of .*mine.npy in metres, got None"),
        (VP, -1.0, "model_spacing: expected the grid spacing of .*mine.npy in metres, got -1.0"),
        (VP[0], 10.0, r"expected .*mine.npy to hold floats of shape \(nx, nz\), got float32 \(2,\)"),
        (VP.astype(int), 10.0, "expected .*mine.npy to hold floats"),
        (np.array([[{}]]), 10.0, "allow_pickle=False"),
    ],
)
def test_bad_files_of_the_user_are_refused(
    tmp_path: Path, content: np.ndarray, spacing: float | None, message: str
) -> None:
    path = tmp_path / "mine.npy"
    np.save(path, content, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        resolve_model(str(path), spacing)


def test_a_spacing_that_contradicts_the_registry_is_refused(tiny: Path) -> None:
    (tiny / "work/shared/data").mkdir(parents=True)
    (tiny / "work/shared/data/tiny.bin").write_bytes(VP.tobytes())
    assert resolve_model("tiny", 5.0)[1] == 5.0
    with pytest.raises(ValueError, match=r"model_spacing: expected 5.0 m, as the registry has it for 'tiny'"):
        resolve_model("tiny", 7.5)


def test_the_registry_file_is_plain_json() -> None:
    text = Path(registry.__file__).with_name("models.json").read_text(encoding="utf-8")
    assert set(json.loads(text)) == set(list_models())
