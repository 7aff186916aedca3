"""Echo cancellation: takes what the speaker plays out of what the microphone hears.

The reference is what the card was really given. Where it comes back is found by correlation, how it sounds then is
learnt by a linear filter, and by how much the two cards' crystals differ is told from how that place moves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.alignment import AHEAD, BEHIND, CHUNK, PathSearch, displacement
from voicebox.audio.base import BLOCK, CAPTURE_RATE, Block
from voicebox.audio.course import Course, Drift
from voicebox.audio.loudspeaker import Loudspeaker
from voicebox.audio.pcm import Samples, from_bytes, to_bytes
from voicebox.audio.reference import Reference
from voicebox.audio.slips import Doubt, SlipWatch
from voicebox.audio.speexdsp import FRAME, LinearCanceller, rounded

TAIL = 4000
"""Samples (250 ms) after which an echo is over: the filter's length."""
_HEAD = 128  # samples of the filter before the path begins: room for it to move
_FASTEST = 5e-4  # what moves faster is no crystal
_LINGER = BEHIND + TAIL  # samples after the last sound until its echo is over, wherever the path may lie
_MOVED = 80  # samples (5 ms): a path that moved further is another one
_ASTRAY = 320  # samples between where the clocks say we are and where we are: a stream lost sound
_ASTRAY_BLOCKS = 25
_SURE = 10 * CAPTURE_RATE  # samples for which the crystals are known well enough to go by them
_CONVERGED, _LOST = 20.0, 6.0  # dB of attenuation from which the echo counts as cancelled, and below which it does not
_ENOUGH = 8.0  # dB from which on it is worth while to look at what is left
_SETTLING = 4  # chunks that are too few to tell how loud the echo is
_INAUDIBLE = 58.0**2  # mean square (-55 dBFS) below which it is too faint for anybody to mind
_HOLD = 3 * CHUNK // BLOCK  # blocks held back at most
_FAINT = 100.0  # what is played no louder than this (-50 dBFS) tells nothing
_UNHEARD = 12  # chunks after which what was not found to come back does not
_FADE = 0.7  # of the energies of before, with each chunk


class EchoCanceller:
    """Works on blocks of 20 ms. Raises DeviceError where speexdsp is missing.

    While nothing was played for longer than an echo lasts it does nothing at all, and keeps what it has learnt. When
    something begins to play it holds the microphone's blocks back, for 0.7 s at most, until it knows by how little the
    two streams' clocks are off this time: so what it learnt before is right from the first sample on."""

    def __init__(self) -> None:
        self._reference = Reference()
        self.heard = self._reference.heard
        """To be told what the speaker plays; see ``base.Handlers.heard``."""
        self.changed: Callable[[], None] = lambda: None
        """Called when ``converged`` has changed."""
        self._filter = LinearCanceller(TAIL)
        self._loudspeaker = Loudspeaker()
        self._search = PathSearch()
        self._rest = PathSearch()
        self._slips = SlipWatch()
        self._doubt = Doubt()
        self._drift = Drift()
        self._course = Course()
        self._bulk = -float(_HEAD)  # samples by which the reference is held back
        self._delay: int | None = None  # of the path, as it was last found; None: it never was
        self._elsewhere = 0  # chunks in which it was found far from there
        self._rested = True  # nothing of the reference is in the filter any more
        self._fresh = True  # just woken: the clocks may be off by a little
        self._held: list[Block] = []
        self._holding = False
        self._expected = 0
        self._broken = True  # a stream lost sound, or rested: the clocks must be asked
        self._runs = 0  # of the reference, when they were asked last
        self._until = 0  # position up to which the course was followed
        self._astray = 0
        self._chunk: list[tuple[Samples, Samples]] = []
        self._chunks = 0
        self._found_at: tuple[int, NDArray[np.float32]] | None = None  # the path at a position
        self._levels = [0.0, 0.0]
        self._unheard = 0  # chunks played of which nothing was found to come back
        self.active = False
        """Something is being played, or still sounds in the room."""
        self.converged = False
        """What comes back is being cancelled, or nothing does."""

    @property
    def attenuation(self) -> float:
        """dB of what the microphone heard that was taken out, of late."""
        heard, left = self._levels
        return 10 * math.log10((heard + 1.0) / (left + 1.0))

    @property
    def delay(self) -> float | None:
        """Seconds after which the echo comes back, by the cards' own account; None before it was found."""
        return None if self._delay is None else self._delay / CAPTURE_RATE

    @property
    def drift(self) -> float:
        """Parts per million by which the speaker's crystal is faster than the microphone's."""
        return self._drift.value * 1e6

    def process(self, block: Block) -> list[Block]:
        """The blocks that are ready now, without the echo: usually this one."""
        self._reference.update()
        heard = self._heard_with(block)
        self.active = heard is not None
        if heard is None:
            self._rested = True
            return [*self._dismissed(), *self._release(), block]
        lost = self._resume(block.position, heard) if self._broken else []
        self._until = block.position
        if not self._holding:
            return [*lost, *self._watched(block)]
        self._held.append(block)
        return [*lost, *(self._release() if self._found() else ())]

    def played(self, position: int, count: int) -> Samples | None:
        """What the microphone would have heard of the speaker, in a perfect room, in the last ``count`` samples before
        ``position``; None if there was nothing. From any thread."""
        if not self.active:
            return None
        start = self._course.index(position - count) - self._bulk - _HEAD
        return rounded(self._reference.read(start, count))

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        self._filter.close()

    # --- where we are ----------------------------------------------------------------------------------------------

    def _heard_with(self, block: Block) -> float | None:
        """The reference index that was heard, by the clocks, with the block's first sample; None if nothing was played
        for so long that nothing can come back. Notes whether the course is still right."""
        self._broken |= block.position != self._expected
        self._expected = block.position + BLOCK
        if not self._reference.known:
            return None
        heard = self._reference.index(block.captured_at)
        if heard - _LINGER > self._reference.sounding_until:
            return None
        off = self._course.index(block.position) - heard
        self._astray = self._astray + 1 if abs(off) > _ASTRAY else 0
        self._broken |= self._astray > _ASTRAY_BLOCKS
        self._broken |= self._runs != self._reference.runs and heard + BLOCK > self._reference.began
        self._broken |= block.position - self._until > _SURE
        return heard

    def _resume(self, position: int, heard: float) -> list[Block]:
        """A stream lost sound or rested: go by the clocks, until the path is found again. Returns the blocks that were
        held back already, as they are: where their echo lies will never be known."""
        clean, lost, self._held = self._dismissed(), self._held, []
        if lost:
            self._conclude(converged=False)
        self._broken, self._runs = False, self._reference.runs
        self._holding = self._unheard <= _UNHEARD
        self._course.start(position, heard)
        self._search.forget()
        self._rest.forget()
        self._slips.forget()
        self._fresh = True
        self._astray = self._chunks = 0
        self._chunk.clear()
        self._found_at = None
        return [*clean, *lost]

    def _found(self) -> bool:
        """Look for the path in the blocks held back; true when it was found, or was looked for long enough."""
        if len(self._held) % (CHUNK // BLOCK):
            return False
        chunk = self._held[-CHUNK // BLOCK :]
        self._look(np.concatenate([from_bytes(block.pcm) for block in chunk]), chunk[0].position)
        if self._fresh and len(self._held) < _HOLD:
            return False
        if self._fresh and self._delay is not None:
            self._conclude(converged=False)  # the filter may work at the wrong place
        return True

    def _release(self) -> list[Block]:
        held, self._held, self._holding = self._held, [], False
        if held and self._rested:
            self._rested = False
            self._filter.expect(*self._loudest(held))
        return [self._clean(block) for block in held]

    def _loudest(self, blocks: Sequence[Block]) -> tuple[float, float]:
        """The loudest samples of microphone and reference in these blocks, which follow on each other."""
        heard = np.concatenate([from_bytes(block.pcm) for block in blocks]).astype(np.float32)
        played = self._played(blocks[0].position, heard.size)
        return float(np.abs(heard).max()), float(np.abs(played).max())

    def _look(self, microphone: Samples, position: int) -> None:
        """Look for the path in a chunk of the microphone that begins at ``position``."""
        around = self._around(position)
        if self._silent(around):
            return
        self._chunks += 1
        self._search.add(microphone.astype(np.float32), around)
        delay = self._search.delay
        self._unheard = self._unheard + 1 if delay is None else 0
        if delay is not None and self._chunks >= 2:
            self._align(delay)

    def _around(self, position: int) -> NDArray[np.float32]:
        return self._reference.read(self._course.index(position) - BEHIND, BEHIND + CHUNK + AHEAD)

    def _silent(self, around: NDArray[np.float32]) -> bool:
        start = BEHIND - round(self._bulk)
        return float(np.abs(around[max(0, start) : start + CHUNK]).max(initial=0)) < _FAINT

    def _align(self, delay: int) -> None:
        known = delay if self._delay is None else self._delay
        if self._fresh and self._delay is not None:
            known += self._realign()
        self._fresh = False
        self._elsewhere = self._elsewhere + 1 if abs(delay - known) > _MOVED else 0
        if self._delay is None or self._elsewhere > 2:
            self._move_to(delay)
        self._delay = known if self._elsewhere else delay

    def _move_to(self, delay: int) -> None:
        """The path is not where it was thought to be: learn it there."""
        self._delay, self._elsewhere = delay, 0
        self._bulk = float(delay - _HEAD)
        self._conclude(converged=False)

    def _realign(self) -> int:
        """The streams rested, and their clocks are off by a little: put the path that was learnt where it is now.
        Returns by how many samples it was moved."""
        known = np.zeros_like(self._search.path)
        whole = round(self._bulk)
        first = AHEAD + whole
        known[first : first + TAIL] = self._filter.response[: known.size - first]
        moved = displacement(known, self._search.path) - (self._bulk - whole)
        if abs(moved) > BEHIND // 4:
            return 0
        self._bulk += moved
        return round(moved)

    # --- what is done to a block -------------------------------------------------------------------------------------

    def _watched(self, block: Block) -> list[Block]:
        """Clean a block; those of which there is no doubt that the echo is where it was. Before that is sure the filter
        does not learn from them."""
        cleaned = None if self._doubt else self._clean(block)
        left = self._left(block) if cleaned is None else from_bytes(cleaned.pcm)
        spoilt = self._slips.add(from_bytes(block.pcm), left)
        slipped = self._slips.slipped()
        if slipped is not None:
            return self._catch_up(block, slipped)
        ready = self._doubt.weigh(block, cleaned, spoilt=spoilt and self.converged)
        if len(ready) * BLOCK == CHUNK and self._comes_back(block.position + BLOCK - CHUNK):
            self._conclude(converged=False)
        return [known or self._clean(heard) for heard, known in ready]

    def _dismissed(self) -> list[Block]:
        return [known or self._clean(heard) for heard, known in self._doubt.dismiss()]

    def _comes_back(self, position: int) -> bool:
        """Whether the filter left an echo, wherever that is, in the last CHUNK samples."""
        search = PathSearch()
        search.add(self._slips.left(CHUNK), self._around(position))
        return search.delay is not None

    def _left(self, block: Block) -> Samples:
        """What the filter would leave of this block."""
        played = self._loudspeaker.play(self._played(block.position - TAIL, TAIL + BLOCK))
        return rounded(from_bytes(block.pcm) - self._filter.echo(played))

    def _catch_up(self, newest: Block, slipped: float) -> list[Block]:
        """All that is heard has come so many samples later lately, so must be all that is played. The filter is shown
        the blocks in doubt, and the 0.25 s before them, as they really were; the blocks are returned."""
        blocks = [*(heard for heard, _ in self._doubt.dismiss()), newest]
        end, doubtful = newest.position + BLOCK, len(blocks) * BLOCK
        heard, onset = self._slips.recall(TAIL, doubtful)
        count = heard.size
        played = self._played(end - count, count)
        self._course.start(end, self._course.index(end) - slipped)
        onset = max(0, onset - _HEAD)  # when the filter is given what comes back then
        played[onset:] = self._played(end - count + onset, count - onset)
        played[onset : onset + max(0, round(slipped))] = 0
        cleaned = [self._cancel(heard[at : at + FRAME], played[at : at + FRAME]) for at in range(0, count, FRAME)]
        self._slips.forget()
        self._search.forget()
        self._rest.forget()
        self._chunk.clear()
        self._found_at = None
        pieces = np.split(np.concatenate(cleaned)[-doubtful:], len(blocks))
        return [replace(block, pcm=to_bytes(piece)) for block, piece in zip(blocks, pieces, strict=True)]

    def _clean(self, block: Block) -> Block:
        cleaned = self._filtered(block)
        self._study(block.position, from_bytes(block.pcm), cleaned)
        return replace(block, pcm=to_bytes(cleaned))

    def _filtered(self, block: Block) -> Samples:
        heard, played = from_bytes(block.pcm), self._played(block.position, BLOCK)
        return np.concatenate([self._cancel(heard[at : at + FRAME], played[at : at + FRAME]) for at in (0, FRAME)])

    def _cancel(self, heard: Samples, played: NDArray[np.float32]) -> Samples:
        return self._filter.process(heard, self._loudspeaker.play(played))

    def _played(self, position: int, count: int) -> NDArray[np.float32]:
        """The reference that comes back from this position on."""
        return self._reference.read(self._course.index(position) - self._bulk, count)

    # --- how well it went --------------------------------------------------------------------------------------------

    def _study(self, position: int, samples: Samples, cleaned: Samples) -> None:
        """Learn from each chunk how well it went."""
        self._chunk.append((samples, cleaned))
        if len(self._chunk) * BLOCK < CHUNK:
            return
        microphone = np.concatenate([pair[0] for pair in self._chunk])
        left = np.concatenate([pair[1] for pair in self._chunk])
        self._chunk.clear()
        start = position + BLOCK - CHUNK
        self._look(microphone, start)
        around = self._around(start)
        if not self._silent(around):
            self._judge(microphone, left, around)
            self._track(position + BLOCK)
            self._learn(start, left)

    def _judge(self, microphone: Samples, left: Samples, around: NDArray[np.float32]) -> None:
        fade = _FADE if any(self._levels) else 0.0
        self._levels = [
            fade * level + (1 - fade) * float(np.var(sound))
            for level, sound in zip(self._levels, (microphone, left), strict=True)
        ]
        self._rest.add(left.astype(np.float32), around)
        faint = self._levels[1] < _INAUDIBLE and self._chunks > _SETTLING
        if self.attenuation > _CONVERGED or faint or self._unheard > _UNHEARD:
            self._conclude(converged=True)
        elif self.attenuation < _LOST and self._rest.delay is not None:
            self._search.forget()  # of where the path was
            self._conclude(converged=False)

    def _conclude(self, *, converged: bool) -> None:
        if converged != self.converged:
            self.converged = converged
            self.changed()

    def _learn(self, position: int, left: Samples) -> None:
        """Tell from what is left whether the loudspeaker clips."""
        if self._chunks % 4 == 1 and self.attenuation > _ENOUGH:
            reference = self._played(position - TAIL, TAIL + CHUNK)
            self._loudspeaker.learn(left.astype(np.float32), reference, self._filter.response.astype(np.float32))

    def _track(self, position: int) -> None:
        """Tell from how the path moves how fast the crystals drift apart."""
        if self._chunks % 4 or self._search.delay is None:
            return
        if self._found_at is not None:
            since, path = self._found_at
            moved, elapsed = displacement(path, self._search.path), position - since
            if abs(moved) < _FASTEST * elapsed:
                self._drift.update(moved, elapsed)
                self._course.bend(position, self._drift.value)
        self._found_at = position, self._search.path
