"""The supervisor: sockets first, children that come back, and an orderly end."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sealwright.domain.errors import ConfigurationError
from sealwright.servers import all_in_one
from sealwright.servers.all_in_one import Child, Supervisor
from sealwright.servers.deployment import ROLES, Deployment
from sealwright.servers.embedded import free_ports
from sealwright.settings import DeploymentSettings, Directories, KeyStores, Listen, save_deployment

READY = "import sys, time; print('ready', flush=True); sys.stdin.read()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(60)"
BROKEN = "raise SystemExit(3)"
Told = list[tuple[str, str]]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    port = free_ports(20_000 + 2 * (os.getpid() % 4_000))
    settings = DeploymentSettings(
        url=f"https://localhost:{port}",
        plain_url=f"http://localhost:{port + 1}",
        log_origin="localhost/log",
        subscriber="first",
        listen=Listen(port=port, plain_port=port + 1),
        key_stores=KeyStores(keyholder="software:a", ca="software:b", tsa="software:c"),
    )
    directory = tmp_path / "d"
    directory.mkdir(mode=0o700)
    save_deployment(settings, directory)
    return Deployment.load(directory)


class Scripted(Supervisor):
    """A supervisor whose children are small scripts instead of roles."""

    def __init__(self, deployment: Deployment, script: Callable[[Child], str]) -> None:
        self.told: Told = []
        super().__init__(deployment, lambda role, what, _details: self.told.append((role, what)))
        self._script = script

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-S",
            "-c",
            self._script(child),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )


@contextlib.asynccontextmanager
async def started(deployment: Deployment, script: Callable[[Child], str]) -> AsyncIterator[Scripted]:
    supervisor = Scripted(deployment, script)
    supervisor.bind()
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0.01)


def test_every_role_is_started_and_stopped_users_side_first(deployment: Deployment) -> None:
    async def main() -> None:
        async with started(deployment, lambda _child: READY) as supervisor:
            assert set(supervisor.pids()) == set(ROLES)
            assert deployment.socket_path("keyholder").stat().st_mode & 0o777 == 0o600
            children = list(supervisor._children)
        assert [child.process.returncode for child in children if child.process] == [-signal.SIGTERM] * len(ROLES)
        assert not deployment.socket_path("keyholder").exists()
        assert {role for role, what in supervisor.told if what == "serves"} == set(ROLES)

    asyncio.run(main())
    assert ROLES[-1] == "signing"


def test_a_child_that_dies_is_started_again_and_reported_while_its_callers_wait(deployment: Deployment) -> None:
    async def main() -> None:
        async with started(deployment, lambda _child: READY) as supervisor:
            before = supervisor.pids()["ca"]
            os.kill(before, signal.SIGKILL)
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(deployment.socket_path("ca")))  # the socket is the supervisor's: nobody is refused
            await until(lambda: supervisor.told.count(("ca", "serves")) == 2)
            after = supervisor.pids()
            assert after["ca"] != before
            assert ("ca", "died and is started again") in supervisor.told

    asyncio.run(main())


def test_a_child_that_does_not_start_ends_the_start_and_leaves_nothing(deployment: Deployment) -> None:
    async def main() -> None:
        supervisor = Scripted(deployment, lambda child: BROKEN if child.role == "ca" else READY)
        supervisor.bind()
        with pytest.raises(ConfigurationError, match="ca process does not start"):
            await supervisor.start()
        assert all(child.process is None or child.process.returncode is not None for child in supervisor._children)
        again = Scripted(deployment, lambda _child: READY)
        again.bind()
        await again.stop()

    asyncio.run(main())


def test_a_child_that_does_not_stop_is_killed(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_in_one, "_STOP_WITHIN", 0.2)

    async def main() -> None:
        async with started(deployment, lambda child: STUBBORN if child.role == "tsa" else READY) as supervisor:
            pass
        assert [role for role, what in supervisor.told if "killed" in what] == ["tsa"]

    asyncio.run(main())


def test_one_directory_is_served_once(deployment: Deployment) -> None:
    async def main() -> None:
        first, second = (Scripted(deployment, lambda _child: READY) for _ in range(2))
        first.bind()
        with pytest.raises(ConfigurationError, match="being served already"):
            second.bind()
        await first.stop()
        second.bind()
        await second.stop()

    asyncio.run(main())


@pytest.mark.parametrize("setting", ["port", "plain_port"])
def test_a_port_that_is_taken_is_named_and_nothing_is_kept(deployment: Deployment, setting: str) -> None:
    async def main() -> None:
        port: int = getattr(deployment.settings.listen, setting)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            with pytest.raises(ConfigurationError, match=str(port)) as caught:
                Scripted(deployment, lambda _child: READY).bind()
        assert f"listen.{setting}" in caught.value.hint
        supervisor = Scripted(deployment, lambda _child: READY)
        supervisor.bind()
        await supervisor.stop()

    asyncio.run(main())


def test_sockets_are_not_put_where_others_can_put_theirs(deployment: Deployment) -> None:
    run = deployment.socket_path("ca").parent
    run.mkdir(parents=True, mode=0o700)
    run.chmod(0o777)
    for _ in range(2):  # the lock is given back too
        with pytest.raises(ConfigurationError, match="belongs to others"):
            Scripted(deployment, lambda _child: READY).bind()
    run.chmod(0o700)
    supervisor = Scripted(deployment, lambda _child: READY)
    supervisor.bind()
    asyncio.run(supervisor.stop())


@pytest.mark.parametrize("length", range(60, 110))
def test_all_sockets_lie_in_one_directory_however_long_its_path_is(length: int) -> None:
    directory = Path("/" + "d" * (length - 1))
    settings = DeploymentSettings(
        url="https://localhost:8443",
        plain_url="http://localhost:8444",
        log_origin="localhost/log",
        subscriber="first",
        key_stores=KeyStores(keyholder="software:", ca="software:", tsa="software:"),
        directories=Directories(run=directory),
    )
    deployment = Deployment(directory, settings)
    paths = [deployment.socket_path(role) for role in ROLES]
    assert len({path.parent for path in paths}) == 1
    assert max(len(str(path)) for path in paths) <= 107
