from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from posterior.report.figures import Scene
from posterior.report.page import noise_words


@pytest.mark.parametrize(
    ("snr", "words"),
    [
        ([np.nan] * 3, ", noise of unknown strength"),
        ([10.0, 14.0, np.nan], " at 12.0 dB on average over the 2 pairs that state it"),
        ([10.0, 14.0, 12.0], " at 12.0 dB on average"),
    ],
)
def test_noise_that_pairs_do_not_state_is_not_made_up(snr, words):
    assert noise_words(np.array(snr, dtype=np.float32)).endswith(words)


def test_volumes_are_refused_in_plain_words():
    volumes = SimpleNamespace(x_shape=(1, 16, 12, 14), spacing=(10.0, 10.0, 10.0))
    with pytest.raises(ValueError, match=r"sections \(nx, nz\), got volumes of \(16, 12, 14\)"):
        Scene.of(volumes, None)
