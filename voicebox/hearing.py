"""What becomes of each microphone block: kept for the session, scored for the wake word, searched for speech. And
whether the box hears at all."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from voicebox.audio.base import BLOCK, Block
from voicebox.audio.pcm import Samples, SpeechGate, from_bytes, to_bytes
from voicebox.audio.vad import Endpointer, SpeechBegan
from voicebox.core.events import Event, SpeechStarted, SpeechStopped, WakeDetected
from voicebox.core.state import Phase, State
from voicebox.meters import Heard
from voicebox.uplink import Ring, Uplink, WakeListener

DEAF_AFTER = 2.0  # seconds without a microphone block
OPENING = 10.0  # seconds a microphone may take to deliver after it was closed

SEARCHED = (Phase.CONNECTING, Phase.LISTENING)

SOON_MS = 96
"""How much speech over a reply is enough to be noticed."""
GONE_MS = 200
"""… and how much quiet ends it."""


class SpeechFinder(Protocol):
    """Finds where somebody begins and ceases to speak."""

    def begin(self, since: int) -> None:
        """A conversation listens from this microphone position on."""

    def called(self, at: int) -> None:
        """The wake word was recognised at this position."""

    def block(self, position: int, samples: Samples) -> list[Event]:
        """The next 20 ms of it."""

    @property
    def speaking(self) -> bool:
        """Somebody is speaking."""


class GateFinder:
    """For services that find the turns themselves: tells by energy when somebody speaks, so that nobody is cut off by
    the listening deadline."""

    def __init__(self) -> None:
        self._gate = SpeechGate()
        self._told = False

    def begin(self, since: int) -> None:
        del since
        self._gate.hush()  # the answer may have come before the end of what was said last
        self._told = False

    def called(self, at: int) -> None:
        """The service decides where turns end."""

    def block(self, position: int, samples: Samples) -> list[Event]:
        self._gate.feed(samples)
        if self._gate.speaking == self._told:
            return []
        self._told = self._gate.speaking
        return [SpeechStarted(position) if self._told else SpeechStopped(position)]

    @property
    def speaking(self) -> bool:
        return self._told


class UtteranceFinder:
    """For services that take whole utterances: a network tells speech from other sound, and the device decides."""

    def __init__(self, endpointer: Endpointer) -> None:
        self._endpointer = endpointer

    def begin(self, since: int) -> None:
        del since
        self._endpointer.reset()

    def called(self, at: int) -> None:
        self._endpointer.called(at)

    def block(self, position: int, samples: Samples) -> list[Event]:
        found = self._endpointer.feed(position, samples)
        return [SpeechStarted(end.at) if isinstance(end, SpeechBegan) else SpeechStopped(end.at) for end in found]

    @property
    def speaking(self) -> bool:
        return self._endpointer.speaking


class Canceller(Protocol):
    """Takes the speaker's sound out of what the microphone heard."""

    active: bool
    """There is something to take out."""
    converged: bool
    """It is being taken out."""

    def process(self, block: Block) -> list[Block]:
        """The blocks that are ready now, in their order; usually this one."""


class Hearing:
    """All methods run on the event loop."""

    def __init__(
        self,
        uplink: Uplink,
        listener: WakeListener | None,
        finder: SpeechFinder,
        dispatch: Callable[[Event], None],
        loop: asyncio.AbstractEventLoop,
        clean: Callable[[Samples], Samples] | None = None,
        over: SpeechFinder | None = None,
        heard: Ring | None = None,
        canceller: Canceller | None = None,
    ) -> None:
        """``canceller``: works before anything else looks at a block. ``clean``: what is done to each block before the
        service hears it; ``heard`` then is the ring that keeps what the listener hears. None: it is the uplink's.
        ``over``: finds speech over replies; None: nobody asks."""
        self.meter: Heard | None = None
        """Set by others, while somebody looks."""
        self._canceller = canceller
        self._ring = heard or uplink.ring
        self._clean = clean
        self._uplink = uplink
        self._listener = listener
        self._finder = finder
        self._dispatch = dispatch
        self._loop = loop
        self._wanted = False  # the core listens
        self._searching = False
        self._since: int | None = None  # where the window began that was searched last
        self._over = over
        self._overhearing = False
        self._phase = Phase.IDLE
        self._began: SpeechStarted | None = None  # of those who spoke last
        self._last_block = loop.time()
        self._lost = False  # it is known to be, and awaited
        self._closed = False  # the box is muted

    def block(self, block: Block) -> None:
        """The next microphone block."""
        self._last_block = self._loop.time()
        if self.meter is not None:
            self.meter.before(block.pcm)
        for heard in self._canceller.process(block) if self._canceller else (block,):
            self._hear(heard)

    @property
    def due(self) -> int:
        """Microphone position before which nobody needs a block; 0: each is needed at once. Only the wake word of an
        idle box can wait, until its next step."""
        idle = self._phase is Phase.IDLE and not self._uplink.is_open
        playing = self._canceller is not None and self._canceller.active
        if not idle or playing or self.meter is not None or self._listener is None:
            return 0
        return self._listener.due

    def _hear(self, block: Block) -> None:
        clean = self._cleaned(block) if self._clean else block
        if self.meter is not None:
            self.meter.after(clean.pcm)
        self._uplink.block(clean)
        if self._ring is not self._uplink.ring:
            self._ring.write(block.position, from_bytes(block.pcm))
        if self._listener is not None:
            self._listener.playing = self._phase is Phase.SPEAKING or bool(self._canceller and self._canceller.active)
            self._listener.block(block)
        if self._searching:
            self._search(self._finder, block.position, from_bytes(block.pcm))
        elif self._overhearing and self._over is not None and self._clear:
            self._search(self._over, block.position, from_bytes(block.pcm))

    @property
    def _clear(self) -> bool:
        """What the box itself says is not taken for somebody else's speech."""
        return self._canceller is None or self._canceller.converged

    def _cleaned(self, block: Block) -> Block:
        assert self._clean is not None  # noqa: S101  # for the type checker
        return replace(block, pcm=to_bytes(self._clean(from_bytes(block.pcm))))

    def follow(self, state: State, event: Event | None = None) -> None:
        """The core has decided, because of ``event``: search for speech while it listens, from where its window begins;
        and while it speaks, if anybody asks."""
        if isinstance(event, WakeDetected):
            self._finder.called(event.at)
        if self._listener is not None:
            self._listener.muted = state.muted
        if state.muted is not self._closed:
            self._closed = state.muted
            self._lost, self._last_block = False, self._loop.time() + OPENING - DEAF_AFTER
        wanted = state.phase in SEARCHED and state.window is not None
        if state.window is not None and wanted:
            since, known = state.window.since, self._since
            self._since = since
            if not self._wanted:  # not now: what it finds would overtake what was just decided
                begin = self._ring.end if since is None or since == known else since  # it was open all the time
                self._loop.call_soon(self._begin, begin)
        self._wanted = wanted
        self._searching = self._searching and wanted
        self._overhear(state)
        if (self._phase, state.phase) == (Phase.CONNECTING, Phase.LISTENING):
            self._loop.call_soon(self._tell_again)
        self._phase = state.phase

    def _overhear(self, state: State) -> None:
        wanted = state.phase is Phase.SPEAKING and not state.muted and not state.written
        if wanted and not self._overhearing and self._over is not None:
            self._over.begin(self._ring.end)
        self._overhearing = wanted

    def overhear_with(self, over: SpeechFinder | None) -> None:
        """From now on this finds speech over replies."""
        self._over = over
        if over is not None:
            over.begin(self._ring.end)

    def opened(self) -> None:
        """The devices are open, or known to be missing: deafness counts from here."""
        self._last_block = self._loop.time()

    def lost(self) -> None:
        self._lost = True

    def works(self) -> None:
        self._lost = False
        self._last_block = self._loop.time()

    @property
    def speaking(self) -> bool:
        """Somebody is speaking to the box."""
        return self._searching and self._finder.speaking

    def trouble(self) -> str | None:
        """None while the box hears, is muted, or is known to be waiting for its microphone; else what is wrong."""
        now = self._loop.time()
        if now - self._last_block > DEAF_AFTER and not (self._closed or self._lost):
            return "the microphone delivers nothing"
        if self._listener is not None and self._listener.stuck(now):
            return "the wake word engine does not answer"
        return None

    def _begin(self, since: int) -> None:
        """Search what was said before anybody asked, too: the ring still has it."""
        if not self._wanted:
            return
        self._searching = True
        ring = self._ring
        self._finder.begin(since)
        position = max(since, ring.oldest)
        position += -(position - ring.end) % BLOCK  # so that it ends where the next block begins
        while self._searching and position + BLOCK <= ring.end:
            self._search(self._finder, position, ring.read(position, BLOCK))
            position += BLOCK

    def _search(self, finder: SpeechFinder, position: int, samples: Samples) -> None:
        for event in finder.block(position, samples):
            self._began = event if isinstance(event, SpeechStarted) else self._began
            self._dispatch(event)

    def _tell_again(self) -> None:
        """The listening deadline has just begun to run, and would cut off who began to speak while connecting."""
        if self.speaking and self._began is not None:
            self._dispatch(self._began)
