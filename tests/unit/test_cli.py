"""The command line up to the point where work begins: help, mistakes, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from one_ocr_ray.cli import main
from one_ocr_ray.settings.run import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_help_names_every_setting_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """`one-ocr run --help` is complete."""
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for name in Settings.model_fields:
        assert name == "inputs" or f"--{name.replace('_', '-')}" in shown
    for word in ("INPUT", "--config", "--json", "resumes", "exit codes", "stopped and resumable"):
        assert word in shown
    assert shown.index("--output URI") < shown.index("--model NAME") < shown.index("--replicas N")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say what to read"),
        (["nope.pdf"], "There is no file or folder"),
        (["{empty}"], "No PDFs and no images in"),
        (["{sample}", "--pages", "x"], "--pages"),
        (["{sample}", "--rpm", "-1"], "rpm"),
        (["{sample}", "--engine", "tesseract"], "engine"),
        (["{sample}", "--config", "nope.yaml"], "nope.yaml"),
        (["@nope.txt"], "nope.txt"),
        (["{sample}", ""], "an INPUT is empty"),
        (["{sample}", "--reuse", "{nowhere}"], "there is no dataset at"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, tmp_path: Path, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to do, without a traceback and before any work."""
    (tmp_path / "empty").mkdir()
    names = {each: str(tmp_path / each) for each in ("empty", "nowhere")}
    names["sample"] = str(samples / "sample-table-en.pdf")
    code = main(["run", *(each.format(**names) for each in arguments), "--output", str(tmp_path / "out")])
    shown = capsys.readouterr()
    assert code == 2
    assert sentence in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out
    assert not (tmp_path / "out" / "pages").exists()
    assert not (tmp_path / "nowhere").exists()


HEAVY = {"ray", "pyarrow", "obstore", "pydantic", "aiohttp", "rich", "yaml", "rapidocr", "openvino", "fastapi"}
SHOW_HELP = """
import sys
from one_ocr_ray.cli import main
try:
    main(["--help"])
except SystemExit:
    print(*sys.modules, file=sys.stderr)
"""
ESTIMATE = """
import sys
sys.modules["ray"] = None  # any import of it fails from here on
from one_ocr_ray.cli import main
sys.exit(main(["estimate", sys.argv[1]]))
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_help_is_shown_without_loading_anything_heavy() -> None:
    """Nobody waits half a second to read which commands there are."""
    done = python(SHOW_HELP)
    assert "estimate" in done.stdout
    assert not HEAVY & set(done.stderr.split())


def test_an_estimate_needs_no_ray(samples: Path) -> None:
    """It may be made where no cluster is, and before one is paid for."""
    done = python(ESTIMATE, str(samples))
    assert done.returncode == 0, done.stderr
    assert "Documents  5 (" in done.stdout


def test_a_reader_that_has_had_enough_is_no_crash(samples: Path) -> None:
    """`one-ocr estimate ... | head -1` ends without a traceback."""
    command = [sys.executable, "-m", "one_ocr_ray.cli", "estimate", str(samples / "sample-table-en.pdf")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("command", ["estimate", "doctor"])
def test_commands_around_a_run_take_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, from the one declaration."""
    flags = []
    for each in ("run", command):
        with pytest.raises(SystemExit):
            main([each, "--help"])
        flags.append({word for word in capsys.readouterr().out.split() if word.startswith("--")})
    assert flags[0] == flags[1]


@pytest.mark.parametrize(
    "arguments", [["run", "nope.pdf"], ["estimate", "nope.pdf"], ["export", "nope", "--to", "nope"], ["verify", "nope"]]
)
def test_an_unknown_variable_is_one_line_of_every_command(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, before the command's own mistake; the exit code is the command's."""
    monkeypatch.setenv("ONE_OCR_OUTPTU", "sk-secret")
    assert main(arguments) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "one-ocr: Not a setting, and without effect: ONE_OCR_OUTPTU (do you mean ONE_OCR_OUTPUT?)."
    assert second.startswith("one-ocr: ")


def test_a_missing_output_is_a_mistake(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no default: results must not land where nobody looks."""
    assert main(["run", str(samples)]) == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["run", "x.pdf", "--frobnicate"],
        ["run", "x.pdf", "--rout", "local"],
        ["batch", "status", "o", "--jso"],
        ["export", "o", "--to", "d", "--forma", "md"],
    ],
)
def test_an_unknown_flag_is_exit_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The start of a flag is none: a later release may have two flags that begin so."""
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_the_job_script_is_the_same_command(tmp_path: Path) -> None:
    """`python jobs/ocr.py` works from a folder that is not installed, from anywhere."""
    script = ROOT / "jobs" / "ocr.py"
    done = subprocess.run(
        [sys.executable, str(script), "nope.pdf", "--output", "o"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nope.pdf" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "{output}", "--to", "{other}"],
        ["verify", "{output}"],
        ["eval", "{output}", "--truth", "{output}"],
        ["batch", "status", "{output}"],
        ["batch", "cancel", "{output}"],
    ],
)
def test_a_command_without_a_dataset_is_a_mistake(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is created for a wrong path."""
    paths = {name: str(tmp_path / name) for name in ("output", "other")}
    assert main([each.format(**paths) for each in arguments]) == 2
    assert re.search("no (folder or )?dataset at", capsys.readouterr().err)
    assert not list(tmp_path.iterdir())
