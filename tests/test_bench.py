"""The bench as a program: it finds its sections, prints figures and nothing else, and fails if one misses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from voicebox import bench, cli
from voicebox.bench import Figure, Options, _command
from voicebox.errors import ConfigError

GOOD = bench.at_most("late, worst of 3", 1.23456, "ms", 20)
BAD = bench.at_least("recall", 0.5, "", 0.9)


def test_a_figure_is_held_against_its_target() -> None:
    assert Figure("late, worst of 3", 1.235, "ms", "<= 20", True) == GOOD
    assert Figure("recall", 0.5, "", ">= 0.9", False) == BAD
    assert bench.at_most("n", 20, "ms", 20).ok
    assert not bench.at_most("n", 20.00001, "ms", 20).ok
    assert bench.at_least("n", 0.9, "", 0.9).ok
    assert bench.stated("n", 123456.7, "") == Figure("n", 123457, "", "-", True)


def test_what_is_no_number_misses_and_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = bench.at_most("n", float("nan"), "ms", 20)
    assert run(as_json=True, one=[nothing], two=[GOOD]) == 1
    assert json.loads(capsys.readouterr().out)[0]["value"] is None
    assert not bench.at_least("n", float("nan"), "ms", 20).ok


def test_scale_says_how_much_is_measured() -> None:
    assert [Options(scale=s).times(500) for s in (1.0, 0.1, 0.0001, 2)] == [500, 50, 1, 1000]


def test_every_file_beside_it_is_a_section_but_for_the_private_ones() -> None:
    files = {path.stem for path in Path(bench.__file__).parent.glob("[a-z]*.py")}
    assert set(_command.sections()) == files
    assert "audio" in files


def run(*wanted: str, as_json: bool = False, **results: list[Figure] | Exception) -> int:
    def section(name: str, _: Options) -> list[Figure]:
        print(f"measuring {name}", file=sys.stderr)
        result = results[name]
        if isinstance(result, Exception):
            raise result
        return result

    return bench.main(wanted, Options(), as_json=as_json, run=section)


@pytest.fixture(autouse=True)
def _two_sections(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "capsys" in request.fixturenames:
        monkeypatch.setattr(_command, "sections", lambda: ["one", "two"])


def test_json_is_one_list_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(as_json=True, one=[GOOD], two=[]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out == [{"name": "late, worst of 3", "value": 1.235, "unit": "ms", "target": "<= 20", "ok": True}]


def test_a_figure_that_misses_is_marked_and_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(one=[GOOD], two=[BAD]) == 1
    assert [line[:4] for line in capsys.readouterr().out.splitlines()] == ["ok  ", "MISS"]


def test_a_section_is_measured_once_and_others_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("two", "two", two=[GOOD]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_section_that_breaks_down_fails_the_run_but_not_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(as_json=True, one=OSError("no such thing"), two=[GOOD]) == 1
    said = capsys.readouterr()
    assert [figure["name"] for figure in json.loads(said.out)] == ["one: broke down", "late, worst of 3"]
    assert "no such thing" in said.err


def test_an_unknown_section_is_named_beside_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="there is no section tree; there are one, two"):
        run("one", "tree", one=[GOOD])
    assert capsys.readouterr().out == ""


def test_the_command_line_says_what_is_unknown() -> None:
    assert cli.main(["bench", "tree"]) == 78


def test_a_section_finds_a_fresh_process_and_prints_no_figures_itself(tmp_path: Path) -> None:
    """Through a program that adds a section of its own, which even writes to file descriptor 1."""
    section = "import os\nfrom voicebox.bench import Figure\n\ndef run(options):\n    os.write(1, b'noise')\n"
    section += "    return [Figure('pid', os.getpid(), '', '-', True)]\n"
    (tmp_path / "extra.py").write_text(f'"""Extra."""\n{section}')
    program = tmp_path / "program.py"
    program.write_text(
        f"import os, voicebox.bench\nvoicebox.bench.__path__.append({str(tmp_path)!r})\n"
        "if __name__ == '__main__':\n"
        "    figures = voicebox.bench._command.run_apart('extra', voicebox.bench.Options())\n"
        "    print(os.getpid(), *(figure.value for figure in figures))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    mine, its = done.stdout.split()
    assert mine != its
    assert "noise" in done.stderr
