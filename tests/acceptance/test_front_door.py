"""The whole story through the front door: `demo --serve`, sign, verify, show, keys, stop, prove, and begin again."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from sealwright.servers.embedded import running, start
from sealwright.structures.note import Checkpoint, Verifier, split_note
from tests.acceptance.world import PROGRAM, House, sealwright, some_ports, tree

_STOPPED_WITHIN = 60


@dataclass(frozen=True)
class Demo:
    """A demonstration that was asked to go on serving, and its report."""

    process: "subprocess.Popen[bytes]"
    report: dict[str, Any]
    house: House


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    # Other tests may start a demonstration at the same moment, and choose the same free port: then once more.
    for _ in range(3):
        directory = tmp_path_factory.mktemp("demo") / "d"
        told = directory.parent / "stderr"
        with told.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "sealwright", "demo", "--json", "--serve", "--dir", str(directory)],
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert process.stdout is not None
        with process.stdout:
            line = process.stdout.readline()
            if line.endswith(b"}\n"):
                try:
                    yield Demo(process, json.loads(line), House(directory, directory / "serve.log"))
                finally:
                    process.terminate()
                    process.wait(_STOPPED_WITHIN)
                return
            line += process.stdout.read()
        process.wait(_STOPPED_WITHIN)
        assert b"taken by another program" in line, line.decode() + told.read_text()
    raise AssertionError("the demonstration found no free port three times")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A deployment made by `sealwright init`, that nobody serves."""
    directory = tmp_path_factory.mktemp("init") / "d"
    url = f"https://localhost:{some_ports()}"
    done = sealwright("init", directory, "--url", url, "--algorithm", "p-256")
    assert done.returncode == 0, done.stderr.decode()
    return House(directory, directory / "serve.log")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return Path(shutil.copy(PROGRAM, tmp_path / "program.exe"))


def said(done: "subprocess.CompletedProcess[bytes]") -> dict[str, Any]:
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    document: dict[str, Any] = json.loads(done.stdout)
    return document


# --- While it runs -------------------------------------------------------------------------------------------


def test_the_report_has_all_that_others_need_to_go_on(demo: Demo) -> None:
    report = demo.report
    assert report["deployment"] == str(demo.house.directory)
    assert report["server"].startswith("https://")
    assert report["tsa"].startswith("http://")
    assert report["log"].startswith(report["server"])
    assert b"BEGIN CERTIFICATE" in Path(report["roots"]).read_bytes()
    assert Path(report["crl"]).exists()
    (file,) = report["files"]
    assert file["verdict"] == "passed"
    assert Path(file["input"]).is_file()
    assert Path(file["output"]).is_file()
    assert isinstance(file["ledger_index"], int)


@pytest.mark.foreign
def test_osslsigncode_accepts_the_signed_file_with_the_roots_and_lists_of_the_report(demo: Demo) -> None:
    if shutil.which("osslsigncode") is None:
        pytest.skip("osslsigncode is not installed: apt-get install osslsigncode")
    trust = ["-CAfile", demo.report["roots"], "-TSA-CAfile", demo.report["roots"], "-CRLfile", demo.report["crl"]]
    done = subprocess.run(
        ["osslsigncode", "verify", *trust, "-in", demo.report["files"][0]["output"]],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert b"Succeeded" in done.stdout


def test_a_program_is_signed_in_place_and_verifies(demo: Demo, program: Path) -> None:
    (signed,) = said(demo.house.run("sign", program, "--json"))["files"]
    assert signed["verdict"] == "passed"
    assert isinstance(signed["ledger_index"], int)
    (file,) = said(demo.house.run("verify", program, "--json"))["files"]
    assert (file["path"], file["format"], file["verdict"]) == (str(program), "pe", "passed")
    assert file["sha256"] == signed["sha256"]
    (signature,) = file["signatures"]
    assert signature["verdict"] == "passed"
    assert {"subject", "serial", "sha256", "policies"} <= signature["certificate"].keys()
    assert {"time", "token_policy", "certificate_policies"} <= signature["timestamp"].keys()
    assert signature["key_protection"]["model"] == "software"
    assert signature["key_protection"]["lifetime"] == "persistent"
    assert signature["checks"]
    for check in signature["checks"]:
        assert {"number", "code", "result", "detail"} <= check.keys()
    reserved = [policy for policy in signature["certificate"]["policies"] if policy.startswith("2.23.140.1")]
    assert reserved == []  # software keys meet no requirement


def test_verify_trusts_only_what_it_is_told_to_trust(demo: Demo, stopped: House, program: Path) -> None:
    said(demo.house.run("sign", program, "--json"))
    trust, crl = demo.report["roots"], demo.report["crl"]
    assert sealwright("verify", program, "--trust", trust, "--crl", crl, cwd=program.parent).returncode == 0
    others = stopped.settings
    other = sealwright("verify", program, "--trust", others.need_path("roots"), "--crl", crl, cwd=program.parent)
    assert other.returncode in {1, 2}
    data = bytearray(program.read_bytes())
    data[0x400] ^= 1
    program.write_bytes(data)
    changed = sealwright("verify", program, "--trust", trust, "--crl", crl, "--json", cwd=program.parent)
    assert changed.returncode == 1
    assert json.loads(changed.stdout)["files"][0]["verdict"] == "failed"


def test_what_stands_in_a_signature_is_shown(demo: Demo) -> None:
    shown = demo.house.run("show", demo.report["files"][0]["output"])
    assert shown.returncode == 0, shown.stderr.decode()
    assert "Sealwright Demonstration" in shown.stdout.decode()


def test_formats_are_listed(demo: Demo) -> None:
    formats = said(demo.house.run("formats", "--json"))["formats"]
    assert "pe" in {one["name"] for one in formats}


def test_whoami_names_the_workload_and_its_keys(demo: Demo) -> None:
    me = said(demo.house.run("whoami", "--json"))
    assert (me["principal"], me["kind"], me["dual_control"]) == ("cli", "workload", False)
    assert "default" in {key["name"] for key in me["keys"]}


@pytest.mark.parametrize(
    ("name", "algorithm", "lifetime"),
    [
        ("fast", "p-256", "persistent"),
        ("wide", "rsa-3072", "persistent"),
        ("brief", "p-256", "ephemeral"),
    ],
)
def test_a_new_key_signs(demo: Demo, program: Path, name: str, algorithm: str, lifetime: str) -> None:
    made = demo.house.run("keys", "create", name, "--algorithm", algorithm, "--lifetime", lifetime)
    assert made.returncode == 0, made.stderr.decode()
    listed = {key["name"]: key for key in said(demo.house.run("keys", "list", "--json"))["keys"]}
    assert (listed[name]["algorithm"], listed[name]["lifetime"]) == (algorithm, lifetime)
    assert (listed[name]["state"], listed[name]["model"]) == ("active", "software")
    (signed,) = said(demo.house.run("sign", program, "--key", name, "--json"))["files"]
    assert signed["verdict"] == "passed"
    (file,) = said(demo.house.run("verify", program, "--json"))["files"]
    assert file["signatures"][0]["key_protection"]["lifetime"] == lifetime
    again = demo.house.run("keys", "create", name)
    assert again.returncode == 1
    assert b"already" in again.stderr


def test_the_log_answers_with_a_signed_checkpoint(demo: Demo) -> None:
    path = demo.report["log"].removeprefix(demo.report["server"])
    answer = demo.house.ask("GET", f"{path}/checkpoint")
    assert answer.status == 200
    note = answer.body.decode()
    Verifier.decode(demo.house.settings.log_key).check(note)
    assert Checkpoint.decode(split_note(note)[0]).size > demo.report["files"][0]["ledger_index"]


def test_the_interface_describes_itself(demo: Demo) -> None:
    document = demo.house.ask("GET", "/v1/openapi.json").document
    assert document["openapi"].startswith("3.")
    assert "/v1/signing-requests" in document["paths"]


def test_health_and_readiness_are_told(demo: Demo) -> None:
    assert demo.house.ask("GET", "/healthz").status == 200
    assert demo.house.ask("GET", "/readyz").status == 200


def test_a_second_serve_of_the_same_directory_is_refused(demo: Demo) -> None:
    done = sealwright("serve", demo.house.directory)
    assert done.returncode == 1
    assert "served already" in done.stderr.decode()
    assert demo.house.ask("GET", "/readyz").status == 200


def test_doctor_and_the_ledger_can_be_asked_while_it_runs(demo: Demo) -> None:
    assert sealwright("doctor", demo.house.directory).returncode == 0
    assert demo.house.audit()["holds"]


def test_a_stop_ends_everything_gracefully_and_leaves_a_whole_ledger(demo: Demo) -> None:
    processes = tree(demo.process.pid)
    assert len(processes) >= 6  # the demonstration, the supervisor, four roles
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(_STOPPED_WITHIN) == 0
    _, alive = psutil.wait_procs(processes[1:], timeout=5)
    assert alive == []
    log = demo.house.log.read_text()
    assert log.count('"stopped"') == 4, log[-2_000:]
    assert "Traceback" not in log
    audit = demo.house.audit()
    assert audit["holds"]
    assert audit["open_intents"] == []
    assert sealwright("ledger", "verify", demo.house.directory).returncode == 0
    doctor = sealwright("doctor", demo.house.directory)
    assert doctor.returncode == 0, doctor.stdout.decode()


# --- Making and starting a deployment ------------------------------------------------------------------------


def files(directory: Path) -> dict[str, bytes]:
    """Return all files but the databases, which SQLite rearranges when they are opened."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and ".db" not in path.name and path.name != "serve.log"
    }


def test_init_again_changes_nothing(stopped: House) -> None:
    before, entries = files(stopped.directory), stopped.entries("keyholder")
    done = sealwright("init", stopped.directory)
    assert done.returncode == 0
    assert "nothing was changed" in done.stdout.decode()
    assert files(stopped.directory) == before
    assert stopped.entries("keyholder") == entries


def test_everything_is_closed_to_others(stopped: House) -> None:
    open_to_all = {"trust", "public"}
    for path in stopped.directory.rglob("*"):
        parts = set(path.relative_to(stopped.directory).parts)
        public = bool(open_to_all & parts) or path.suffix in {".crt", ".cer"} or path.name == "chain.pem"
        assert public or path.stat().st_mode & 0o077 == 0, path
    assert stopped.directory.stat().st_mode & 0o077 == 0


def test_init_refuses_a_directory_with_something_in_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    done = sealwright("init", tmp_path)
    assert done.returncode == 1
    assert "not empty" in done.stderr.decode()
    assert list(tmp_path.iterdir()) == [kept]


def test_init_refuses_another_address_for_a_deployment(stopped: House) -> None:
    done = sealwright("init", stopped.directory, "--url", "https://sign.example.org")
    assert done.returncode == 1
    assert "already" in done.stderr.decode()


@pytest.mark.parametrize("which", ["port", "plain_port"])
def test_a_port_that_is_taken_is_named(stopped: House, which: str) -> None:
    port = getattr(stopped.deployment.settings.listen, which)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        done = sealwright("serve", stopped.directory)
    assert done.returncode == 1
    message = done.stderr.decode()
    assert str(port) in message
    assert "taken" in message
    assert f"listen.{which}" in message
    assert "Traceback" not in message


def test_serving_a_directory_that_is_no_deployment_is_refused(tmp_path: Path) -> None:
    done = sealwright("serve", tmp_path)
    assert done.returncode == 1
    assert "sealwright init" in done.stderr.decode()


@pytest.mark.parametrize("role", ["signing", "keyholder"])
def test_an_older_schema_is_refused_with_the_name_of_the_remedy(stopped: House, tmp_path: Path, role: str) -> None:
    directory = tmp_path / "older"
    shutil.copytree(stopped.directory, directory, ignore=shutil.ignore_patterns("run"))
    connection = sqlite3.connect(directory / role / f"{role}.db")
    with connection:
        connection.execute("DELETE FROM alembic_version")
    connection.close()
    for command in ("serve", "doctor"):
        done = sealwright(command, directory)
        assert done.returncode == 1
        assert "sealwright migrate" in (done.stdout + done.stderr).decode()


def test_a_newer_schema_is_refused_in_words(stopped: House, tmp_path: Path) -> None:
    directory = tmp_path / "newer"
    shutil.copytree(stopped.directory, directory, ignore=shutil.ignore_patterns("run"))
    connection = sqlite3.connect(directory / "signing" / "signing.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9999'")
    connection.close()
    done = sealwright("serve", directory)
    assert done.returncode == 1, done.stderr.decode()
    assert "newer" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_stop_in_the_middle_finishes_what_was_begun(stopped: House, tmp_path: Path) -> None:
    programs = [Path(shutil.copy(PROGRAM, tmp_path / f"{number}.exe")) for number in range(40)]
    serving = start(stopped.directory)
    config = {**os.environ, "SEALWRIGHT_CONFIG": str(stopped.directory / "client.toml")}
    client = subprocess.Popen(
        [sys.executable, "-m", "sealwright", "sign", *map(str, programs), "--no-timestamp"],
        env=config,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    before = len(stopped.entries())
    while len(stopped.entries()) == before and client.poll() is None:
        time.sleep(0.005)
    serving.stop()
    out, err = client.communicate(timeout=60)
    assert client.returncode == 0, err.decode()
    assert out.count(b"passed") == len(programs)
    assert stopped.audit()["open_intents"] == []
    with running(stopped.directory):  # and it serves again
        assert stopped.run("sign", programs[0], "--replace").returncode == 0
