"""The bench as a program: it finds its sections, prints figures and nothing else, and fails if one misses."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.boxes import WavBox
from voicebox import bench, cli
from voicebox.audio import playback
from voicebox.audio.base import Handlers
from voicebox.audio.playback import Playback
from voicebox.audio.wavfile import WavBackend
from voicebox.bench import Figure, Options, _card, _command, _delivery, audio
from voicebox.errors import ConfigError
from voicebox.lead import LeadIn

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


def run(*wanted: str, as_json: bool = False, into: Path | None = None, **results: list[Figure] | Exception) -> int:
    def section(name: str, _: Options) -> list[Figure]:
        print(f"measuring {name}", file=sys.stderr)
        result = results[name]
        if isinstance(result, Exception):
            raise result
        return result

    return bench.main(wanted, Options(), as_json=as_json, into=into, run=section)


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


# --- tables in a file ----------------------------------------------------------------------------------------------

PAGE = "# Page\n\n<!-- bench: one -->\nold\n<!-- /bench -->\n\nbetween\n\n<!-- bench: two -->\n<!-- /bench -->\nend\n"


def test_tables_are_put_where_they_belong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert run("two", into=page, two=[GOOD, BAD]) == 1
    text = page.read_text()
    begin = PAGE.index("<!-- bench: two -->\n") + len("<!-- bench: two -->\n")
    assert text.startswith(PAGE[:begin])
    assert text.endswith(PAGE[begin:])
    table, machine = text[begin : -len(PAGE[begin:])].rstrip().split("\n\n")
    assert table.splitlines()[2:] == [
        "| late, worst of 3 | 1.235 ms | ≤ 20 |  |",
        "| recall | 0.5 | ≥ 0.9 | **missed** |",
    ]
    assert " cores, " in machine
    run("two", into=page, two=[GOOD])  # again, and the old table is gone
    assert len(page.read_text().splitlines()) == len(text.splitlines()) - 1
    capsys.readouterr()


def test_what_compares_is_drawn_beside_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    compared = [
        bench.at_most("ours & <theirs>", 0.3, "x", 0.5),
        bench.at_most("slow", 2, "x", 0.5),
        bench.stated("other", 4, "x"),
    ]
    run("one", into=page, one=[GOOD, *compared])
    run("two", into=page, two=[GOOD, compared[0]])
    assert page.read_text().count("(bench-one.svg)") == 1
    assert [path.name for path in sorted(tmp_path.glob("*.svg"))] == ["bench-one.svg"], "one bar compares nothing"
    root = ElementTree.parse(tmp_path / "bench-one.svg").getroot()  # noqa: S314  # we have just written it
    drawn = [(bar.get("fill"), int(bar.get("width", ""))) for bar in root.findall("{*}rect")[1:]]
    assert drawn == [("#3a7d44", 27), ("#b3261e", 180), ("#8a8a8a", 360)]
    assert "ours & <theirs>" in [text.text for text in root.findall("{*}text")]
    capsys.readouterr()


def test_a_page_without_a_place_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("<!-- bench: two -->\n", ""))
    with pytest.raises(ConfigError, match="there must be one <!-- bench: two -->"):
        run(into=page, one=[GOOD], two=[GOOD])
    assert "old" in page.read_text()
    assert len(capsys.readouterr().out.splitlines()) == 2, "what was measured is shown all the same"


def test_a_page_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.md: No such file"):
        run("one", into=tmp_path / "nowhere.md", one=[GOOD])
    assert capsys.readouterr().out


def test_the_documentation_has_a_place_for_every_section() -> None:
    text = (Path(__file__).parent.parent / "docs/measurements.md").read_text()
    assert sorted(re.findall(r"<!-- bench: (\w+) -->", text)) == _command.sections()


# --- what is measured without anybody who listens ------------------------------------------------------------------


def test_a_box_measures_its_own_card(tmp_path: Path) -> None:
    config = tmp_path / "voicebox.toml"
    config.write_text('[audio]\nbackend = "wav"\n')
    figures = _card.card_figures(Options(scale=0.02, card=True, config=config))
    assert [figure.name.partition(":")[0] for figure in figures] == ["card"] * 4
    assert figures[1] == bench.at_most("card: gaps in 1 s of capture", 0, "times", 0)


def test_a_card_that_is_not_there_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Missing(WavBackend):
        async def start(self, handlers: Handlers) -> None:
            handlers.lost("microphone", "nothing is plugged in")

    config = tmp_path / "voicebox.toml"
    config.write_text("")
    monkeypatch.setattr(_card, "_OPENING", 0.01)
    monkeypatch.setattr("voicebox.parts.backend", lambda _: Missing())
    assert _card.card_figures(Options(card=True, config=config)) == []
    assert capsys.readouterr().err == "left out: your sound card: microphone: nothing is plugged in\n"


def test_replies_come_out_as_they_were_sent_however_they_arrive() -> None:
    figures = _delivery.delivery_figures(1)
    assert [figure for figure in figures if not figure.ok] == []
    assert sum("lost, doubled or wrong in 1 min" in figure.name for figure in figures) == 3
    assert any("silences within replies" in figure.name and figure.value > 0 for figure in figures)


@pytest.mark.parametrize(
    "spoilt",
    [lambda pcm: pcm[:-2], lambda pcm: pcm + pcm[-2:], lambda pcm: b"\x01\x01" + pcm[2:]],
    ids=["lost", "doubled", "wrong"],
)
def test_what_happens_to_a_reply_on_its_way_is_seen(
    spoilt: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    play = LeadIn.play
    monkeypatch.setattr(LeadIn, "play", lambda self, reply_id, pcm: play(self, reply_id, spoilt(pcm)))
    wrong = _delivery.figures_of("Wi-Fi", 1, _delivery.jitter(0.06), 0.12)[0]
    assert (wrong.ok, wrong.value > 100) == (False, True)


CYCLES = 20


def flush() -> dict[str, Figure]:
    figures = audio.flush_figures("WAV", WavBox(), CYCLES)
    ends = {"late": "silent after, worst", "granted": "granted, worst", "lost": "of the next replies"}
    return {what: figure for figure in figures for what, end in ends.items() if figure.name.endswith(end)}


def test_a_flush_leaves_a_fade_of_the_dead_reply_and_all_of_the_next() -> None:
    figures = flush()
    assert [figure.name for figure in figures.values() if not figure.ok] == []
    assert 60 < figures["granted"].value <= 72  # 3 ms, of which the last is silent


def test_a_flush_that_lets_the_card_have_more_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "FADE", 0.006)
    figures = flush()
    assert {what for what, figure in figures.items() if not figure.ok} == {"granted"}
    assert figures["granted"].value > 120


def test_a_flush_that_comes_late_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "FADE", 0.020)
    assert {what for what, figure in flush().items() if not figure.ok} == {"granted", "late"}


def test_a_flush_that_costs_the_next_reply_samples_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    play = Playback.play
    next_one = 4_800  # bytes
    monkeypatch.setattr(
        Playback, "play", lambda self, reply, pcm: play(self, reply, pcm[20:] if len(pcm) == next_one else pcm)
    )
    figures = flush()
    assert {what for what, figure in figures.items() if not figure.ok} == {"lost"}
    assert figures["lost"].value >= 10 * CYCLES


def test_a_machine_too_busy_for_sound_proves_nothing() -> None:
    class Busy(WavBox):
        async def listen(self, samples: int) -> None:
            self.late += 1
            await super().listen(samples)

    figures = audio.flush_figures("WAV", Busy(), 3)
    assert [figure.ok for figure in figures[1:4]] == [False] * 3
    assert figures[4].value == 3
