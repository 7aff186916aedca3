"""The demo's figures, computed from the recordings: what the microphone heard, what the service received and sent, what
the speaker played."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.pcm import resample

Samples = NDArray[np.int16]
Span = tuple[int, int]  # from the first sample to the one after the last

PIECE = 160  # samples looked for at a time: 10 ms at 16 kHz
_REACH = 10 * CAPTURE_RATE  # samples around where they should be in which resampled pieces are looked for
_LIKE = 0.1  # of the energy (-10 dB): what may differ between pieces that are the same but for their conversion
_BY_CHANCE = 16  # samples; fewer may agree without meaning anything

_FRAME = 480  # samples of compressed sound compared at a time: 20 ms at 24 kHz
_FAINT = 100.0  # rms (-50 dBFS) of what compression may add where there is next to nothing


# --- the way up ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Uplink:
    """What became of the microphone's samples on their way to the service.

    For a service at another rate than the microphone's both are compared at the microphone's, after the same
    conversions, in pieces of 10 ms; the counts are then right to a sample or two for each place where something is
    missing or doubled.
    """

    samples: int  # received
    lost: int  # of those that were to be received
    duplicated: int  # received once more
    unasked: int  # received though the core let nothing out at that time
    foreign: int  # received and never heard by the microphone; silence that a service is given does not count
    start: int  # microphone position of the first one, -1 if there is none
    end: int  # … and after the last


def compare_uplink(
    microphone: Samples, received: Samples, allowed: Sequence[Span], expected: Sequence[Span], rate: int = CAPTURE_RATE
) -> Uplink:
    """Find all that was ``received`` in ``microphone`` (both 16 kHz; its noise makes each piece unique) and count.

    ``allowed``: the stretches of it that might be sent; ``expected``: those that had to be, within these. ``rate``: the
    service's own. The samples between two stretches are not lost, those before a first word in one are.
    """
    hint = allowed[0][0] if allowed else 0
    if rate == CAPTURE_RATE:
        found = _find_exactly(microphone, received, hint)
    else:
        found = _find_alike(resample(resample(microphone, CAPTURE_RATE, rate), rate, CAPTURE_RATE), received, hint)
    times = np.zeros(len(microphone), np.int64)
    foreign = 0
    for position, count in found:
        if position < 0:
            foreign += count
        else:
            times[position : position + count] += 1
    heard = np.flatnonzero(times)
    return Uplink(
        len(received),
        int(np.count_nonzero(_mask(expected, len(times)) & (times == 0))),
        int(np.sum(np.maximum(times - 1, 0))),
        int(np.count_nonzero(times[~_mask(allowed, len(times))])),
        foreign,
        int(heard[0]) if heard.size else -1,
        int(heard[-1]) + 1 if heard.size else -1,
    )


def expected_spans(allowed: Sequence[Span], said: Sequence[Span]) -> list[Span]:
    """What of each stretch that might be sent has to be: all up to the last word said in it."""
    spans = []
    for start, end in allowed:
        ends = [last for first, last in said if first < end and last > start]
        spans += [(start, min(end, max(ends)))] if ends else []
    return spans


def _mask(spans: Sequence[Span], size: int) -> NDArray[np.bool_]:
    mask = np.zeros(size, np.bool_)
    for start, end in spans:
        mask[start:end] = True
    return mask


def _find_exactly(microphone: Samples, received: Samples, position: int) -> Iterator[Span]:
    """(position, count) of each run of ``received`` in the microphone's samples; position -1: it is not among them."""
    haystack = microphone.astype("<i2").tobytes()
    at = 0
    while at < len(received):
        run = _agreeing(received[at:], microphone[position:])
        if run >= _BY_CHANCE:
            yield position, run
            at, position = at + run, position + run
            continue
        needle = received[at : at + PIECE]
        position = _find(haystack, needle.astype("<i2").tobytes())
        if position < 0:
            yield from [(-1, len(needle))] if needle.any() else []
            at, position = at + len(needle), 0


def _agreeing(one: Samples, other: Samples) -> int:
    """How many samples at the beginning of both are the same."""
    length = min(len(one), len(other))
    different = np.flatnonzero(one[:length] != other[:length])
    return int(different[0]) if different.size else length


def _find(haystack: bytes, needle: bytes) -> int:
    """Sample index of ``needle``, -1 if it is nowhere."""
    at = haystack.find(needle)
    while at >= 0 and at % 2:
        at = haystack.find(needle, at + 1)
    return at // 2 if at >= 0 else -1


def _find_alike(microphone: Samples, received: Samples, position: int) -> Iterator[Span]:
    """The same, for samples that were converted on their way: pieces count as found where they differ little."""
    if not _alike(received[:PIECE], microphone[position : position + PIECE]):
        position = max(position, _locate(received[:PIECE], microphone, position))
    for at in range(0, len(received) - PIECE + 1, PIECE):
        piece = received[at : at + PIECE]
        if _alike(piece, microphone[position : position + PIECE]):
            yield position, PIECE
            position += PIECE
            continue
        following = _locate(received[at + PIECE : at + 2 * PIECE], microphone, position)
        if following in (-1, position + PIECE):
            yield from [(-1, PIECE)] if piece.any() else []
            position += PIECE
        else:  # the break lies somewhere within this piece: either side is given half of it
            yield position, PIECE // 2
            yield following - PIECE // 2, PIECE // 2
            position = following


def _alike(one: Samples, other: Samples, faint: float = 0.0) -> bool:
    """``faint``: rms of a difference that means nothing."""
    meant = other.astype(np.float64)
    if len(one) != len(other):
        return False
    return bool(np.sum((one - meant) ** 2) <= _LIKE * np.sum(meant**2) + len(one) * faint**2)


def _locate(needle: Samples, haystack: Samples, near: int) -> int:
    """Where ``needle`` is within reach of ``near``, -1 if nowhere."""
    start = max(0, near - _REACH)
    region = haystack[start : near + _REACH].astype(np.float64)
    if len(needle) < PIECE or len(region) < PIECE:
        return -1
    energy = np.convolve(region**2, np.ones(PIECE), "valid")
    alike = _correlation(region, needle)[: len(energy)] / np.sqrt(np.maximum(energy, 1.0))
    best = start + int(np.argmax(alike))
    return best if _alike(needle, haystack[best : best + PIECE]) else -1


def _correlation(long: NDArray[np.float64], short: Samples) -> NDArray[np.float64]:
    """Of ``short`` with the part of ``long`` that begins at each index."""
    size = len(long) + len(short)
    spectrum = np.fft.rfft(long, size) * np.conj(np.fft.rfft(short.astype(np.float64), size))
    return np.fft.irfft(spectrum, size)[: len(long)]


# --- the way down --------------------------------------------------------------------------------------------------


def first_sound(speaker: Samples, start: int, end: int) -> int | None:
    """Index of the first audible sample in [start, end)."""
    sounding = np.flatnonzero(speaker[start:end])
    return start + int(sounding[0]) if sounding.size else None


def stale(speaker: Samples, start: int, end: int) -> int:
    """Samples that are not silent in [start, end)."""
    return int(np.count_nonzero(speaker[start:end]))


def altered(speaker: Samples, start: int, sent: Samples, count: int) -> int:
    """How many of the first ``count`` samples of a reply were not heard as they were sent."""
    heard, meant = speaker[start : start + count], sent[:count]
    length = min(len(heard), len(meant))
    return int(np.count_nonzero(heard[:length] != meant[:length])) + count - length


def altered_beyond_compression(speaker: Samples, start: int, sent: Samples, count: int) -> int:
    """The same for sound that was compressed on its way, which changes every sample and may add a delay: the samples of
    those 20 ms in which the difference is louder than compression makes it."""
    heard = speaker[start : start + count]
    delay = _delay(heard, sent)
    meant = np.concatenate([np.zeros(max(0, delay), np.int16), sent[max(0, -delay) :]])[: len(heard)]
    wrong = count - len(meant)
    for at in range(0, len(meant), _FRAME):
        frame = meant[at : at + _FRAME]
        wrong += 0 if _alike(heard[at : at + len(frame)], frame, _FAINT) else len(frame)
    return wrong


def _delay(heard: Samples, sent: Samples) -> int:
    """Samples by which ``heard`` follows ``sent``, at most half a second either way."""
    most = PLAYBACK_RATE // 2
    padded = np.concatenate([np.zeros(most), sent[: len(heard)].astype(np.float64), np.zeros(most)])
    return most - int(np.argmax(_correlation(padded, heard)[: 2 * most])) if heard.size else 0
