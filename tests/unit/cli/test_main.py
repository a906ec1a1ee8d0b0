import json
import subprocess
import sys
from types import SimpleNamespace

import click
import pytest

from sealwright import __main__, __version__
from sealwright.cli import main
from sealwright.cli.main import COMMANDS, run
from sealwright.domain.errors import DeniedError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put a command of our own in the place of every command's module."""
    module = SimpleNamespace(command=None)
    monkeypatch.setattr(main, "import_module", lambda _name: module)
    return module


def raising(error: BaseException) -> click.Command:
    def callback(**_options: object) -> None:
        raise error

    return click.Command("any", callback=callback, params=[click.Option(["--json"], is_flag=True)])


def test_version_and_help_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"sealwright {__version__}\n"
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name}" in text for name in COMMANDS)


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dance"]) == 2
    assert "No such command 'dance'" in capsys.readouterr().err


def test_an_error_is_two_lines(command: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    command.command = raising(DeniedError("not you", hint="ask Alice"))
    assert run(["whoami"]) == 1
    assert capsys.readouterr().err == "error: not you\nhint: ask Alice\n"


def test_an_error_is_an_object_for_programs(command: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    command.command = raising(DeniedError("not you"))
    assert run(["whoami", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"error": {"code": "denied", "detail": "not you"}}


def test_verify_says_unreadable_not_failed(command: SimpleNamespace) -> None:
    command.command = raising(DeniedError("no roots"))
    assert run(["verify"]) == 2


def test_an_unexpected_error_is_one_line(
    command: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEALWRIGHT_DEBUG", raising=False)
    command.command = raising(ZeroDivisionError("a\nb"))
    assert run(["sign"]) == 70
    out = capsys.readouterr().err
    assert out.count("\n") == 1
    assert "ZeroDivisionError: a b" in out
    assert "SEALWRIGHT_DEBUG=1" in out
    assert run(["sign", "--json"]) == 70
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "internal"
    monkeypatch.setenv("SEALWRIGHT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(["sign"])


def test_an_interruption_is_130(command: SimpleNamespace) -> None:
    command.command = raising(KeyboardInterrupt())
    assert run(["sign"]) == 130


def test_a_missing_extra_is_named(command: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    command.command = raising(ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn.config"))
    assert run(["serve"]) == 1
    assert "pip install 'sealwright[server]'" in capsys.readouterr().err
    command.command = raising(ModuleNotFoundError("No module named 'x'", name="x"))
    assert run(["serve"]) == 70


def test_a_command_s_number_is_the_exit_code(command: SimpleNamespace) -> None:
    command.command = click.Command("any", callback=lambda: 5)
    assert run(["doctor"]) == 5


def test_the_program_leaves_with_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sealwright", "--version"])
    with pytest.raises(SystemExit) as left:
        __main__.main()
    assert left.value.code == 0


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
def test_a_completion_script_is_printed(shell: str, word: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    out = capfd.readouterr().out
    assert word in out
    assert "_SEALWRIGHT_COMPLETE" in out


def test_commands_are_completed_without_importing_them(command: SimpleNamespace) -> None:
    del command
    context = click.Context(main.program)
    assert [item.value for item in main.program.shell_complete(context, "s")] == ["sign", "show", "serve"]
    assert "--version" in [item.value for item in main.program.shell_complete(context, "--")]


@pytest.mark.parametrize("arguments", [["--help"], ["sign", "--help"], ["keys", "--help"], ["whoami", "--help"]])
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    code = (
        "import sys; from sealwright.cli.main import run; run(sys.argv[1:]); "
        "slow = {'cryptography', 'urllib3', 'msgspec', 'ssl', 'sqlalchemy', 'starlette'} & set(sys.modules); "
        "sys.exit(repr(slow) if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
