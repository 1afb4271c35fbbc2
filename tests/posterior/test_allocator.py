"""The allocator's setting: taken where the C library has it, harmless when repeated."""

from __future__ import annotations

import platform

from posterior.allocator import keep_freed_memory


def test_taken_on_glibc_and_may_be_repeated() -> None:
    expected = platform.libc_ver()[0] == "glibc"
    assert [keep_freed_memory(), keep_freed_memory()] == [expected, expected]
