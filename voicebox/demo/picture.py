"""The demo as a picture: microphone and speaker as waveforms, phases as bands, and marks for what happened."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.wavfile import WavBackend
from voicebox.core.state import Phase
from voicebox.demo.stage import Stage

_COLOURS = {
    Phase.IDLE: "#e8e8e8",
    Phase.CONNECTING: "#ffd9a0",
    Phase.LISTENING: "#a8c8ff",
    Phase.THINKING: "#a8f0e8",
    Phase.SPEAKING: "#b8ecb8",
}
_MARKS = {"wake": "#8040c0", "interruption": "#d02020", "button": "#202020", "speech": "#2060c0"}


def draw(path: Path, stage: Stage, backend: WavBackend) -> None:
    """Save the picture as a PNG. Raises ImportError where matplotlib is not installed."""
    import matplotlib as mpl  # noqa: PLC0415  # the extra "demo", for this picture alone

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (mic, phases, speaker) = plt.subplots(
        3, 1, sharex=True, figsize=(14, 6.5), height_ratios=(4, 1, 4), layout="constrained"
    )
    for axes, samples, rate, name in (
        (mic, backend.mic, CAPTURE_RATE, "microphone"),
        (speaker, backend.spk, PLAYBACK_RATE, "speaker"),
    ):
        axes.plot(np.arange(len(samples)) / rate, samples / 32768, linewidth=0.4, color="#303030")
        axes.set_ylabel(name)
        axes.set_ylim(-1, 1)
        axes.margins(x=0)
    end = len(backend.mic) / CAPTURE_RATE
    _bands(phases, stage, end)
    shown = [mark for mark in stage.marks if mark.kind in _MARKS]
    for number, mark in enumerate(shown):
        for axes in (mic, phases, speaker):
            axes.axvline(mark.at, color=_MARKS[mark.kind], linewidth=1, linestyle="--")
        side = "left" if mark.at < 0.75 * end else "right"
        height = 0.97 - 0.085 * (number % 8)
        mic.text(mark.at, height, f" {mark.text} ", fontsize=7, color=_MARKS[mark.kind], va="top", ha=side)
    speaker.set_xlabel("seconds")
    service = stage.app.adapter.capabilities.name
    mic.set_title(f"voicebox demo, {service}: what the microphone heard, the phases, what the speaker played")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bands(axes: object, stage: Stage, end: float) -> None:
    from matplotlib.axes import Axes  # noqa: PLC0415  # as above

    assert isinstance(axes, Axes)  # noqa: S101  # for the type checker
    starts = [*stage.phases, (end, Phase.IDLE)]
    for (start, phase), (until, _) in pairwise(starts):
        axes.axvspan(start, until, color=_COLOURS[phase])
        if until - start > 0.7:
            axes.text((start + until) / 2, 0.5, phase, ha="center", va="center", fontsize=8)
    axes.set_yticks([])
    axes.set_ylabel("phase")
