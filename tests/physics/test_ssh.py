"""Workers over ssh: an sshd of the test's own, on a port of its own."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from physics.config import PairConfig, SshConfig
from physics.simulate import simulate

pytestmark = pytest.mark.slow

COUNT, SIZE = 7, 2

SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
SetEnv {environment}
"""


@pytest.fixture
def place(tmp_path: Path, import_path: str) -> Iterator[SshConfig]:
    """A machine that is reached by ssh: this one."""
    pytest.importorskip("asyncssh")
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None or os.geteuid() != 0:
        pytest.skip("needs root and an sshd (Debian: openssh-server)")
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(key, check=True)
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    # As another kind of processor would, another kernel of OpenBLAS rounds differently.
    blas = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
    environment = " ".join(f"{name}={value}" for name, value in {"PYTHONPATH": import_path, **blas}.items())
    (tmp_path / "sshd").write_text(SSHD.format(port=port, folder=tmp_path, environment=environment))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(tmp_path / "sshd")], stderr=log)
    try:
        time.sleep(0.5)
        if process.poll() is not None:
            pytest.skip(f"sshd cannot be started: {(tmp_path / 'log').read_text()[-300:]}")
        yield SshConfig(
            hosts=("127.0.0.1",),
            port=port,
            username=getpass.getuser(),
            key=str(tmp_path / "user"),
            known_hosts=str(tmp_path / "known"),
        )
    finally:
        process.terminate()
        process.wait(10.0)


def test_a_dataset_made_over_ssh_is_the_same(
    place: SshConfig,
    tiny: PairConfig,
    undisturbed: Path,
    tmp_path: Path,
    contents: Callable[[Path], dict[str, bytes]],
) -> None:
    folder = simulate(
        tiny, tmp_path / "data", count=COUNT, shard_size=SIZE, workers=2, executor=place, progress=False
    )
    assert contents(folder) == contents(undisturbed)
