"""Noise: exact ratios, stated spectra, stated correlation of neighbouring traces."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from physics.config import (
    NoiseConfig,
    RecordedSpectrumConfig,
    SwellConfig,
    TableSpectrumConfig,
    WhiteSpectrumConfig,
)
from physics.geometry import Acquisition
from physics.noise import add_noise, add_survey_noise
from physics.wavelets import ricker

F0, DT, NT = 15.0, 0.004, 376
WAVELET = ricker(F0, DT, NT)


def records(dtype=np.float64):
    rng = np.random.default_rng(1)
    return (rng.standard_normal((3, NT, 7)) * np.array([1.0, 50.0, 0.02])[:, None, None]).astype(dtype)


@pytest.mark.parametrize("snr_db", [-6.0, 12.0, 40.0])
def test_every_shot_has_the_stated_signal_to_noise_ratio(snr_db):
    d = records()
    noisy, noise = add_noise(d, snr_db, ricker(F0, DT, NT), np.random.default_rng(2))
    ratio = [20 * np.log10(np.linalg.norm(s) / np.linalg.norm(n)) for s, n in zip(d, noise, strict=True)]
    assert np.allclose(ratio, snr_db, rtol=0, atol=1e-9)
    assert np.array_equal(noisy, d + noise)


def test_noise_has_the_wavelets_spectrum_and_no_memory_of_the_receiver():
    wavelet = ricker(F0, DT, 360)
    _, noise = add_noise(np.ones((1, 360, 4000)), 0.0, wavelet, np.random.default_rng(3))
    power = (np.abs(np.fft.rfft(noise[0], axis=0)) ** 2).mean(axis=1)
    expected = np.abs(np.fft.rfft(wavelet)) ** 2
    loud = expected > 0.05 * expected.max()
    ratio = power[loud] / expected[loud]
    # The mean of 4000 exponential variables scatters by 1.6 %; four deviations.
    assert np.abs(ratio / ratio.mean() - 1.0).max() < 0.065
    neighbours = np.corrcoef(noise[0, :, :-1].ravel(), noise[0, :, 1:].ravel())[0, 1]
    assert abs(neighbours) < 0.02


def test_noise_follows_its_generator_and_dtype_and_spares_empty_shots():
    d = records(np.float32)
    d[1] = 0.0
    wavelet = ricker(F0, DT, NT)
    one, noise = add_noise(d, 10.0, wavelet, np.random.default_rng(4))
    same, _ = add_noise(d, 10.0, wavelet, np.random.default_rng(4))
    other, _ = add_noise(d, 10.0, wavelet, np.random.default_rng(5))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.dtype == noise.dtype == np.float32
    assert not noise[1].any()


def test_bad_noise_is_refused():
    wavelet, rng = ricker(F0, DT, NT), np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"records d of shape \(nsrc, nt, nrec\), got \(376, 7\)"):
        add_noise(np.zeros((NT, 7)), 10.0, wavelet, rng)
    with pytest.raises(ValueError, match=r"expected wavelet of shape \(376,\), got \(300,\)"):
        add_noise(records(), 10.0, wavelet[:300], rng)
    with pytest.raises(ValueError, match="finite snr_db in decibels, got inf"):
        add_noise(records(), np.inf, wavelet, rng)
    with pytest.raises(ValueError, match="wavelet that is not zero everywhere"):
        add_noise(records(), 10.0, np.zeros(NT), rng)
    with pytest.raises(ValueError, match="expected finite records d"):
        add_noise(np.full((1, NT, 2), np.nan), 10.0, wavelet, rng)


def line(num_sources=3, num_receivers=7, nt=NT, **options):
    return Acquisition(
        sources=np.column_stack([np.arange(num_sources) * 40.0, np.zeros(num_sources)]),
        receivers=np.column_stack([np.arange(num_receivers) * 25.0, np.full(num_receivers, 8.0)]),
        dt=DT,
        nt=nt,
        **options,
    )


def streamer():
    sources = np.column_stack([200.0 + np.arange(3) * 40.0, np.zeros(3)])
    behind = np.column_stack([-20.0 - 25.0 * np.arange(7), np.full(7, 8.0)])
    live = np.ones((3, 7), bool)
    live[0, 5:] = False
    return Acquisition(sources, sources[:, None, :] + behind, DT, NT, live)


NOISES = {
    "wavelet": NoiseConfig(),
    "white": NoiseConfig(spectrum=WhiteSpectrumConfig()),
    "table": NoiseConfig(spectrum=TableSpectrumConfig()),
    "survey ratio": NoiseConfig(ratio="survey"),
    "correlated": NoiseConfig(correlation_length=50.0),
    "swell": NoiseConfig(swell=SwellConfig()),
    "swell over the survey": NoiseConfig(
        swell=SwellConfig(share=0.9), ratio="survey", correlation_length=9.0
    ),
}
EACH = pytest.mark.parametrize("config", NOISES.values(), ids=NOISES.keys())


@EACH
@pytest.mark.parametrize("survey", [line(), streamer()], ids=["fixed", "streamer"])
def test_ratio_is_exact_and_dead_traces_stay_silent(config, survey):
    d = records()
    if survey.live is not None:
        d = d * survey.live[:, None, :]
    config = replace(config, snr_db=3.0)
    noisy, noise = add_survey_noise(d, survey, config, wavelet=WAVELET, rng=np.random.default_rng(0))
    assert np.array_equal(noisy, d + noise)
    axes = (1, 2) if config.ratio == "shot" else None
    ratio = 10 * np.log10(np.sum(d**2, axis=axes) / np.sum(noise**2, axis=axes))
    assert np.allclose(ratio, 3.0, rtol=0, atol=1e-9)
    if survey.live is not None:
        assert not noise.transpose(0, 2, 1)[~survey.live].any()


@EACH
def test_noise_follows_its_generator_and_dtype(config):
    def draw(seed):
        d = records(np.float32)
        return add_survey_noise(d, line(), config, wavelet=WAVELET, rng=np.random.default_rng(seed))[1]

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))
    assert draw(1).dtype == np.float32


@EACH
def test_configurations_pass_through_files(config):
    text = TypeAdapter(NoiseConfig).dump_json(config)
    assert TypeAdapter(NoiseConfig).validate_json(text) == config


def test_default_configuration_is_add_noise():
    d = records(np.float32)
    plain = add_noise(d, 12.0, WAVELET, np.random.default_rng(7))
    configured = add_survey_noise(d, line(), NoiseConfig(), wavelet=WAVELET, rng=np.random.default_rng(7))
    assert np.array_equal(plain, configured)


def test_ratio_over_the_survey_keeps_equal_noise_in_all_shots():
    # Signals differ by a factor of 2500, noise over 2632 white samples only by chance: 1.4 % each.
    config = NoiseConfig(spectrum=WhiteSpectrumConfig(), ratio="survey")
    _, noise = add_survey_noise(records(), line(), config, rng=np.random.default_rng(0))
    norms = np.linalg.norm(noise, axis=(1, 2))
    assert norms.max() / norms.min() < 1.08


def mean_power(config, nt=360, traces=3000):
    survey = Acquisition(
        sources=[[0.0, 0.0]],
        receivers=np.column_stack([np.arange(traces) * 1.0, np.zeros(traces)]),
        dt=DT,
        nt=nt,
    )
    _, noise = add_survey_noise(np.ones((1, nt, traces)), survey, config, rng=np.random.default_rng(3))
    return np.fft.rfftfreq(nt, DT), (np.abs(np.fft.rfft(noise[0], axis=0)) ** 2).mean(axis=1)


def test_given_spectra_are_met():
    # The mean of 3000 exponential variables scatters by 1.8 %; four deviations.
    frequencies, power = mean_power(NoiseConfig(spectrum=WhiteSpectrumConfig()))
    assert np.abs(power[1:-1] / power[1:-1].mean() - 1.0).max() < 0.075
    table = TableSpectrumConfig(frequencies=(10.0, 20.0, 40.0), amplitudes=(0.0, 1.0, 0.5))
    frequencies, power = mean_power(NoiseConfig(spectrum=table))
    expected = np.interp(frequencies, table.frequencies, table.amplitudes) ** 2
    inside = expected > 0.01
    ratio = power[inside] / expected[inside]
    assert np.abs(ratio / ratio.mean() - 1.0).max() < 0.075
    assert power[frequencies <= 10.0].max() < 1e-20 * power.max()


def test_recorded_window_lends_its_spectrum(tmp_path):
    # A window at another sampling, 200 traces of 1024 samples with a resonance at 30 Hz.
    window_dt, rng = 0.002, np.random.default_rng(4)
    frequencies = np.fft.rfftfreq(1024, window_dt)
    shape = 1.0 / (1.0 + ((frequencies - 30.0) / 8.0) ** 2)
    window = np.fft.irfft(np.fft.rfft(rng.standard_normal((1024, 200)), axis=0) * shape[:, None], axis=0)
    np.save(tmp_path / "window.npy", window)
    spectrum = RecordedSpectrumConfig(window=str(tmp_path / "window.npy"), window_dt=window_dt)
    frequencies, power = mean_power(NoiseConfig(spectrum=spectrum))
    expected = 1.0 / (1.0 + ((frequencies - 30.0) / 8.0) ** 2) ** 2
    band = (frequencies > 15.0) & (frequencies < 60.0)
    ratio = power[band] / expected[band]
    # Segments of 256 samples resolve 2 Hz and blur the resonance's flanks; the rest is chance.
    assert np.abs(ratio / ratio.mean() - 1.0).max() < 0.2
    assert frequencies[power.argmax()] == pytest.approx(30.0, abs=3.0)


def correlation(config, survey, shots=400):
    big = replace(survey, sources=np.zeros((shots, 2)))
    _, noise = add_survey_noise(
        np.ones(big.record_shape), big, config, wavelet=WAVELET, rng=np.random.default_rng(6)
    )
    return np.corrcoef(np.moveaxis(noise, 2, 0).reshape(big.num_receivers, -1))


def test_neighbouring_traces_correlate_as_stated():
    found = correlation(NoiseConfig(correlation_length=60.0), line())
    distance = 25.0 * np.abs(np.subtract.outer(np.arange(7), np.arange(7)))
    # 400 shots of some 60 independent samples (band of 20 Hz over 1.5 s): 0.7 %; five deviations.
    assert np.abs(found - np.exp(-distance / 60.0)).max() < 0.035


def test_swell_is_low_in_frequency_and_alike_on_neighbours():
    config = NoiseConfig(
        spectrum=TableSpectrumConfig(frequencies=(30.0, 31.0), amplitudes=(0.0, 1.0)),
        swell=SwellConfig(share=0.7, corner=5.0, correlation_length=80.0),
    )
    survey = line(num_sources=60)
    _, noise = add_survey_noise(np.ones(survey.record_shape), survey, config, rng=np.random.default_rng(2))
    frequencies = np.fft.rfftfreq(NT, DT)
    power = np.sum(np.abs(np.fft.rfft(noise, axis=1)) ** 2, axis=(0, 2))
    low = frequencies < 20.0
    # The share holds but for the record's cut, which spreads 1 % of the swell over all frequencies.
    assert power[low].sum() / power.sum() == pytest.approx(0.7, abs=0.02)
    swell = np.fft.irfft(np.where(low[None, :, None], np.fft.rfft(noise, axis=1), 0.0), NT, axis=1)
    found = np.corrcoef(np.moveaxis(swell, 2, 0).reshape(7, -1))
    distance = 25.0 * np.abs(np.subtract.outer(np.arange(7), np.arange(7)))
    # 60 shots of 15 independent samples (5 Hz, two an oscillation, over 1.5 s): 3 %; four deviations.
    assert np.abs(found - np.exp(-distance / 80.0)).max() < 0.13


def test_bad_survey_noise_is_refused(tmp_path):
    def add(d=None, **options):
        d = records() if d is None else d
        add_survey_noise(d, line(), NoiseConfig(**options), rng=np.random.default_rng(0))

    with pytest.raises(ValueError, match=r"records d of shape \(3, 376, 7\), got \(2, 376, 7\)"):
        add(records()[:2])
    with pytest.raises(ValueError, match="expected a wavelet for noise with its spectrum, got None"):
        add()
    with pytest.raises(ValueError, match="power below the Nyquist frequency 125 Hz, got none"):
        add(spectrum=TableSpectrumConfig(frequencies=(200.0, 250.0), amplitudes=(0.0, 1.0)))
    missing = str(tmp_path / "none.npy")
    with pytest.raises(ValueError, match=r"recorded window as an npy file at .*none\.npy, got none"):
        add(spectrum=RecordedSpectrumConfig(window=missing, window_dt=DT))
    np.save(missing, np.zeros(40))
    with pytest.raises(ValueError, match=r"\(samples, traces\) with at least 16 samples, got \(40,\)"):
        add(spectrum=RecordedSpectrumConfig(window=missing, window_dt=DT))


BAD_CONFIG = {
    "snr": (lambda: NoiseConfig(snr_db=np.nan), "noise.snr_db: expected finite decibels"),
    "length": (lambda: NoiseConfig(correlation_length=-1.0), "noise.correlation_length: expected metres"),
    "share": (lambda: SwellConfig(share=1.5), r"noise.swell.share: expected a share in \(0, 1\), got 1.5"),
    "corner": (lambda: SwellConfig(corner=0.0), "noise.swell.corner: expected a positive value"),
    "falling": (lambda: TableSpectrumConfig(frequencies=(9.0, 2.0), amplitudes=(1.0, 1.0)), "increasing"),
    "amplitudes": (lambda: TableSpectrumConfig(amplitudes=(1.0,)), "expected 5 amplitudes, none negative"),
    "silent": (lambda: TableSpectrumConfig(amplitudes=(0.0,) * 5), "not all zero"),
    "window_dt": (lambda: RecordedSpectrumConfig(window="a", window_dt=4.0), "window_dt: expected seconds"),
}


@pytest.mark.parametrize(("make", "message"), BAD_CONFIG.values(), ids=BAD_CONFIG.keys())
def test_bad_configuration_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
