"""SEG-Y files byte by byte, as others write them, and what their headers may not say."""

import struct

import numpy as np
import pytest

from physics.errors import GeometryError, PhysicsError, UnitError
from physics.segy import SegyOptions, read_shots, read_survey

pytest.importorskip("segyio", reason="needs the optional extra segy")


def raw(path, traces, *, interval=0, scalar=-1000, text=b"\x80", code=5, system=1, order=">"):
    """A SEG-Y file byte by byte; a trace is a dict of first byte to (format, value), and its samples."""
    binary = bytearray(400)
    samples = len(traces[0][1]) if isinstance(traces[0][1], list) else len(traces[0][1]) // 4
    for start, value in ((3217, interval), (3221, samples), (3225, code), (3255, system)):
        struct.pack_into(order + "h", binary, start - 3201, value)
    out = text * 3200 + bytes(binary)
    for fields, data in traces:
        header = bytearray(240)
        given = {69: ("h", scalar), 71: ("h", scalar), 115: ("h", samples), 117: ("h", 2000)}
        for start, (kind, value) in (given | fields).items():
            struct.pack_into(order + kind, header, start - 1, value)
        out += bytes(header) + (struct.pack(f"{order}{samples}f", *data) if isinstance(data, list) else data)
    path.write_bytes(out)
    return path


def trace(record, source, group, data=(1.0, 2.0, 3.0), **fields):
    """One trace with field record, source (x, depth) and group (x, elevation), in header units."""
    place = {9: ("i", record), 73: ("i", source[0]), 49: ("i", source[1])}
    place |= {81: ("i", group[0]), 41: ("i", group[1])}
    return place | {int(k[1:]): v for k, v in fields.items()}, list(data)


def test_file_as_judi_writes_it(tmp_path):
    # No interval in the binary header, text header of 0x80 bytes, scalar -1000, IEEE floats, depths in the
    # elevation headers, the source's too.
    traces = [
        trace(s + 1, (1000 * x, 0), (1000 * g, 6000), (x, g, s), b45=("i", 2500))
        for s, x in enumerate((100, 200))
        for g in (0, 10, 20)
    ]
    survey, d = read_shots(raw(tmp_path / "judi.segy", traces), SegyOptions(elevations="down"))
    assert survey.dt == 0.002
    assert survey.sources.tolist() == [[100.0, 2.5], [200.0, 2.5]]
    assert survey.receivers.tolist() == [[0.0, 6.0], [10.0, 6.0], [20.0, 6.0]]
    assert d[1].tolist() == [[200.0, 200.0, 200.0], [0.0, 10.0, 20.0], [1.0, 1.0, 1.0]]


def test_elevations_point_up_by_default(tmp_path):
    # A source 4 m below ground that lies 30 m above the datum, a receiver on ground 20 m above it.
    path = raw(tmp_path / "a.segy", [trace(1, (1000, 4000), (5000, 20000), b45=("i", 30000))])
    survey = read_survey(path)
    assert survey.sources.tolist() == [[1.0, -26.0]]
    assert survey.receivers.tolist() == [[5.0, -20.0]]


SCALARS = {
    "divide": (-10, 0.1),
    "multiply": (100, 100.0),
    "zero": (0, 1.0),
    "one": (1, 1.0),
    "minus one": (-1, 1.0),
}


@pytest.mark.parametrize(("scalar", "factor"), SCALARS.values(), ids=SCALARS.keys())
def test_scalars_of_either_sign(tmp_path, scalar, factor):
    path = raw(tmp_path / "a.segy", [trace(1, (70, 30), (50, -20))], scalar=scalar)
    survey = read_survey(path)
    assert np.allclose(survey.sources, factor * np.array([[70.0, 30.0]]))
    assert np.allclose(survey.receivers, factor * np.array([[50.0, 20.0]]))


INTERVALS = {"binary": (4000, 0, 0.004), "trace": (0, 1500, 0.0015), "both": (2000, 2000, 0.002)}


@pytest.mark.parametrize(("binary", "header", "dt"), INTERVALS.values(), ids=INTERVALS.keys())
def test_interval_from_either_header(tmp_path, binary, header, dt):
    path = raw(tmp_path / "a.segy", [trace(1, (1, 0), (2, 0), b117=("h", header))], interval=binary)
    assert read_survey(path).dt == dt


def test_contradicting_intervals_need_a_word(tmp_path):
    path = raw(tmp_path / "a.segy", [trace(1, (1, 0), (2, 0))], interval=4000)
    with pytest.raises(
        PhysicsError, match=r"4000 microseconds in the binary .* \[2000\] in the trace headers"
    ):
        read_survey(path)
    assert read_survey(path, SegyOptions(dt=0.004)).dt == 0.004
    path = raw(tmp_path / "a.segy", [trace(1, (1, 0), (2, 0), b117=("h", 0))])
    with pytest.raises(PhysicsError, match=r"expected one sampling interval, got 0 microseconds"):
        read_survey(path)


def test_unequal_and_interleaved_shots_are_filled_up_with_dead_traces(tmp_path):
    traces = [
        trace(7, (0, 0), (1000, 0), (1.0, 1.0)),
        trace(3, (500, 0), (2000, 0), (2.0, 2.0)),
        trace(7, (0, 0), (3000, 0), (3.0, 3.0)),
        trace(7, (0, 0), (4000, 0), (4.0, 4.0)),
    ]
    survey, d = read_shots(raw(tmp_path / "a.segy", traces))
    assert survey.sources[:, 0].tolist() == [0.0, 0.5]
    assert survey.live.tolist() == [[True, True, True], [True, False, False]]
    assert survey.receivers[0, :, 0].tolist() == [1.0, 3.0, 4.0]
    assert d[:, 0].tolist() == [[1.0, 3.0, 4.0], [2.0, 0.0, 0.0]]


def test_one_field_record_with_two_sources_is_two_shots(tmp_path):
    traces = [trace(1, (0, 0), (1000, 0)), trace(1, (500, 0), (1000, 0))]
    assert read_survey(raw(tmp_path / "a.segy", traces)).num_sources == 2


def test_dead_dummy_and_auxiliary_traces(tmp_path):
    traces = [
        trace(1, (0, 0), (1000, 0), (9.0, 9.0), b29=("h", 6)),  # the sweep
        trace(1, (0, 0), (1000, 0), (1.0, 1.0), b29=("h", 1)),
        trace(1, (0, 0), (2000, 0), (8.0, 8.0), b29=("h", 2)),
        trace(1, (0, 0), (3000, 0), (3.0, 3.0), b29=("h", 11)),
        trace(2, (10, 0), (2000, 0), (8.0, 8.0), b29=("h", 3)),
    ]
    survey, d = read_shots(raw(tmp_path / "a.segy", traces))
    assert survey.num_sources == 1
    assert survey.live.tolist() == [[True, False, True]]
    assert d[0, 0].tolist() == [1.0, 0.0, 3.0]


def test_ibm_floats(tmp_path):
    # 1.0, -118.625 and 2 ** -20 by the definition: sign, exponent of 16 over 64, fraction.
    words = struct.pack(">3I", 0x41100000, 0xC276A000, 0x3C100000)
    fields, _ = trace(1, (0, 0), (1000, 0))
    _, d = read_shots(raw(tmp_path / "a.segy", [(fields, words)], code=1))
    assert d[0, :, 0].tolist() == [1.0, -118.625, 2.0**-20]


def test_little_endian(tmp_path):
    path = raw(tmp_path / "a.segy", [trace(1, (0, 0), (1000, 0))], order="<")
    survey, d = read_shots(path, SegyOptions(endian="little"))
    assert survey.receivers.tolist() == [[1.0, 0.0]]
    assert d[0, :, 0].tolist() == [1.0, 2.0, 3.0]


def test_feet_are_converted_only_on_demand(tmp_path):
    path = raw(tmp_path / "a.segy", [trace(1, (10000, 0), (1000, 0))], system=2)
    with pytest.raises(UnitError, match=r"metres, got a file in feet .* SegyOptions\(feet=True\)"):
        read_survey(path)
    assert np.allclose(read_survey(path, SegyOptions(feet=True)).sources, [[3.048, 0.0]])


def test_delay_is_refused_or_ignored(tmp_path):
    path = raw(tmp_path / "a.segy", [trace(1, (0, 0), (1000, 0), b109=("h", 8))])
    with pytest.raises(PhysicsError, match="start at time zero, got a delay of 8 ms in trace 0 and 0 more"):
        read_survey(path)
    assert read_survey(path, SegyOptions(ignore_delay=True)).nt == 3


BAD_TRACES = {
    "degrees": (
        UnitError,
        [trace(1, (1, 0), (2, 0), b89=("h", 2))],
        "lengths .* got 2 in trace 0: .* angles",
    ),
    "dead": (GeometryError, [trace(1, (1, 0), (2, 0), b29=("h", 2))], "expected live traces, got 1 traces"),
    "sweeps": (GeometryError, [trace(1, (1, 0), (2, 0), b29=("h", 6))], "1 traces, none of them seismic"),
    "no geometry": (GeometryError, [trace(1, (1, 0), (0, 0)), trace(2, (2, 0), (0, 0))], "stacked section"),
    "twice": (GeometryError, [trace(1, (1, 0), (2, 0))] * 2, r"different places, got indices \[0, 1\]"),
    "NaN": (
        PhysicsError,
        [trace(1, (1, 0), (2, 0), (0.0, np.nan))],
        r"finite records in .*a\.segy, got 1 of 2",
    ),
}


@pytest.mark.parametrize(("error", "traces", "message"), BAD_TRACES.values(), ids=BAD_TRACES.keys())
def test_bad_traces_are_refused(tmp_path, error, traces, message):
    with pytest.raises(error, match=message):
        read_shots(raw(tmp_path / "a.segy", traces))
