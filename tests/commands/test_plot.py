"""Bars and curves, as they stand in the terminal."""

import pytest

from voicebox.commands.plot import bar, column, curve


@pytest.mark.parametrize(
    ("fraction", "drawn"),
    [
        (0.0, "        "),
        (0.5, "████    "),
        (0.5625, "████▌   "),
        (1.0, "████████"),
        (7.0, "████████"),
        (-1.0, "        "),
    ],
)
def test_a_bar(fraction: float, drawn: str) -> None:
    assert bar(fraction, 8) == drawn


def test_the_mark_is_seen_where_nothing_is_filled() -> None:
    assert bar(0.25, 8, 0.5) == "██  ┊   "
    assert bar(0.75, 8, 0.5) == "██████  "
    assert bar(0.25, 8, 1.0, ascii_only=True) == "##     |"


def test_a_column() -> None:
    assert "".join(column(eighth / 8) for eighth in range(9)) == " ▁▂▃▄▅▆▇█"
    assert "".join(column(eighth / 8, ascii_only=True) for eighth in range(9)) == " ...#####"


def test_a_curve() -> None:
    assert curve([0.0, 0.25, 1.0, 0.5], 12.0, 0.5, 80, rows=4) == [
        " 1.0 │  █",
        "0.50 │┈┈█┈",
        "     │  ██",
        "     │ ███",
        " 0.0 └────",
        "      0 to 12.0 s",
    ]


def test_a_long_curve_keeps_its_peaks_and_its_width() -> None:
    values = [0.0] * 1000
    values[777] = 0.9
    drawn = curve(values, 80.0, 0.5, 40, rows=2, ascii_only=True)
    assert drawn[0].endswith("#" + "-" * 7)
    assert max(map(len, drawn)) == 40
    assert drawn[-1] == "      0" + "80.0 s".rjust(33)
