"""Everything is killed while clients sign: no signature that somebody holds is missing in the ledger."""

import os
import random
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec
import psutil
import pytest

from sealwright.client.receipts import LogKeys, check_response
from sealwright.client.transport import Patience
from sealwright.domain.errors import SealwrightError
from sealwright.domain.events import RequestCompleted, RequestFailed, RequestIntended, decode_event
from sealwright.domain.messages import Artifact, SigningRequestBody, SigningResponse
from sealwright.servers.audit import audit
from sealwright.servers.embedded import Running, start
from sealwright.settings import save_client
from sealwright.structures.merkle import leaf_hash, root_of
from tests.acceptance.world import PROGRAM, Answer, House, body_of, digest, fields_of, make, tree

_CLIENTS = 4
_LONGEST_ROUND = 0.8
_PATIENCE = 60.0


@dataclass
class Clients:
    """Threads that sign with the SDK until they are told to stop, and all that they received."""

    house: House
    received: list[SigningResponse] = field(default_factory=list)
    errors: list[SealwrightError] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        settings = self.house.settings
        keys = LogKeys.decode(settings.log_key, settings.witness_key)
        service = self.house.service(Patience(_PATIENCE))
        while not self.done.is_set():
            artifacts = [Artifact(secrets.token_hex(32)) for _ in range(random.choice([1, 1, 3]))]  # noqa: S311 - a load
            request = SigningRequestBody("default", "authenticode", "sha256", artifacts)
            try:
                response = service.sign(request, secrets.token_hex(16))
                check_response(response, request, "cli", keys)
            except SealwrightError as error:
                self.errors.append(error)
            else:
                self.received.append(response)

    @contextmanager
    def working(self, count: int = _CLIENTS) -> Iterator["Clients"]:
        threads = [threading.Thread(target=self.work) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.done.set()
            for thread in threads:
                thread.join(_PATIENCE + 30)


def kill_all(serving: Running) -> None:
    """Kill the whole process group at once, and wait until nobody of it is left."""
    processes = tree(serving.process.pid)
    os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []


def check_received(house: House, received: list[SigningResponse]) -> None:
    """Check that both entries behind every answer stand in the ledger, at their places, byte for byte."""
    entries = house.entries()
    for response in received:
        receipt = response.receipt
        assert entries[receipt.intent.index] == receipt.intent.entry
        assert entries[receipt.outcome.index] == receipt.outcome.entry
        outcome = decode_event(receipt.outcome.entry)
        assert isinstance(outcome, RequestCompleted)
        assert outcome.intent == receipt.intent.index
        assert outcome.signatures_root == root_of([leaf_hash(one) for one in response.signatures]).hex()


def open_intents(house: House) -> dict[int, int]:
    """Return the intents without an outcome and their counts, found independently of `ledger verify`."""
    left: dict[int, int] = {}
    for index, event in enumerate(house.events()):
        match event:
            case RequestIntended():
                left[index] = event.count
            case RequestCompleted() | RequestFailed():
                del left[event.intent]
            case _:
                pass
    return left


def check_ledger(house: House, received: list[SigningResponse]) -> int:
    """Check the ledger of a deployment, and return how many intents stand open."""
    proved = audit(house.deployment, lambda _role, _done, _size: None)
    assert proved.holds, proved.logs
    left = open_intents(house)
    assert {intent.index: intent.count for intent in proved.open_intents} == left
    check_received(house, received)
    signatures = proved.tally.signatures
    assert signatures >= sum(len(response.signatures) for response in received)
    # What has an outcome was counted before the key was used; what has none may have been, and counts as used.
    assert signatures <= proved.uses["default"] <= signatures + sum(left.values())
    return len(left)


@pytest.mark.soak
def test_no_signature_is_missing_after_everything_was_killed(
    tmp_path: Path, full_count: Callable[[int, int], int]
) -> None:
    house = make(tmp_path / "d")
    clients = Clients(house)
    seen: list[int] = []
    with clients.working():
        for number in range(full_count(10, 100)):
            serving = start(house.directory, own_group=True)
            time.sleep(random.uniform(0, _LONGEST_ROUND))  # noqa: S311 - any instant will do
            kill_all(serving)
            received = list(clients.received)
            seen.append(check_ledger(house, received))
            assert number == 0 or len(house.entries()) > 0
        serving = start(house.directory, own_group=True)
        before = len(clients.received)
        while len(clients.received) < before + 2 * _CLIENTS and not clients.errors:
            time.sleep(0.05)
    serving.stop()
    left = check_ledger(house, clients.received)
    assert len(house.audit()["open_intents"]) == left  # as `ledger verify --json` tells it
    assert [str(error) for error in clients.errors] == []
    signatures = sum(len(response.signatures) for response in clients.received)
    count = len(clients.received)
    print(f"{count} answers, {signatures} signatures, open intents after each kill: {seen}")  # noqa: T201 - a report
    assert len(clients.received) > 2 * _CLIENTS


# --- One process alone ---------------------------------------------------------------------------------------


def sign_once(house: House, text: str) -> Answer:
    body = body_of([digest(text)])
    return house.ask("POST", "/v1/signing-requests", body, fields_of(house, body))


@pytest.mark.parametrize("role", ["keyholder", "ca", "tsa", "signing"])
def test_a_process_killed_alone_comes_back_and_clients_notice_little(house: House, role: str) -> None:
    clients = Clients(house)
    with clients.working(2):
        for number in range(2):
            before = house.pids()
            while len(clients.received) < 3 * (number + 1) and not clients.errors:
                time.sleep(0.02)
            os.kill(before[role], signal.SIGKILL)
            house.settled(before[role], role)
            after = house.pids()
            assert {name for name in before if before[name] != after[name]} == {role}
        enough = len(clients.received) + 4
        while len(clients.received) < enough and not clients.errors:
            time.sleep(0.02)
    assert [str(error) for error in clients.errors] == []
    check_ledger(house, clients.received)


def test_without_the_key_holder_requests_get_503_and_the_rest_goes_on(house: House) -> None:
    body = body_of([digest("meanwhile")])
    before = house.pids()["keyholder"]
    statuses: list[int] = []
    os.kill(before, signal.SIGKILL)
    end = time.monotonic() + 20
    while time.monotonic() < end and 200 not in statuses[-1:]:
        answer = house.ask("POST", "/v1/signing-requests", body, fields_of(house, body))
        statuses.append(answer.status)
        if answer.status != 200:
            assert answer.status == 503, answer.body
            assert int(answer.fields["retry-after"]) > 0
            assert answer.document["code"] == "unavailable"
        assert house.ask("GET", "/healthz").status == 200
        assert house.ask("GET", "/log/checkpoint").status == 200
    assert statuses[-1] == 200
    house.settled(before, "keyholder")


def test_an_answer_that_was_lost_is_given_again(house: House) -> None:
    """The client that got no answer asks again with the same idempotency key, and gets what the ledger names."""
    body = body_of([digest("lost answer")])
    first = house.ask("POST", "/v1/signing-requests", body, fields_of(house, body, idempotency_key="lost"))
    assert first.status == 200
    before = house.pids()["signing"]
    os.kill(before, signal.SIGKILL)
    house.settled(before, "signing")
    again = house.ask("POST", "/v1/signing-requests", body, fields_of(house, body, idempotency_key="lost"))
    assert again.status == 200, again.body
    assert again.document["signatures"] == first.document["signatures"]
    assert again.document["replayed"] is True


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return Path(shutil.copy(PROGRAM, tmp_path / "program.exe"))


def test_a_timestamp_authority_that_was_killed_costs_no_file(house: House, program: Path) -> None:
    before = house.pids()["tsa"]
    original = sha256(program.read_bytes()).hexdigest()
    os.kill(before, signal.SIGKILL)
    done = house.run("sign", program)
    if done.returncode == 0:
        assert house.run("verify", program).returncode == 0
    else:
        assert (done.returncode, done.stderr.count(b"error: ")) == (1, 1)
        assert sha256(program.read_bytes()).hexdigest() == original
    house.settled(before, "tsa")
    assert house.run("sign", program, "--replace").returncode == 0
    assert house.run("verify", program).returncode == 0


def test_without_any_timestamp_authority_a_file_is_left_as_it_was(house: House, program: Path) -> None:
    settings = msgspec.structs.replace(house.settings, tsa=("http://127.0.0.1:9/tsa",))
    config = house.directory / "no-tsa.toml"
    save_client(settings, config)
    original = sha256(program.read_bytes()).hexdigest()
    done = house.run("sign", program, "--config", config)
    assert done.returncode == 1
    message = done.stderr.decode()
    assert message.count("error: ") == 1
    assert "timestamp" in message
    assert "Traceback" not in message
    assert sha256(program.read_bytes()).hexdigest() == original
    assert [path.name for path in program.parent.iterdir()] == [program.name]


def test_the_supervisor_killed_alone_takes_everything_with_it(tmp_path: Path) -> None:
    house = make(tmp_path / "d")
    serving = start(house.directory, own_group=True)
    processes = tree(serving.process.pid)
    assert sign_once(house, "before").status == 200
    os.kill(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    assert house.audit()["open_intents"] == []
