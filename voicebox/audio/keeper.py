"""Keeps sound streams open: one thread for every call into PortAudio that may block, and the rules of re-opening."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from voicebox.audio.devices import NotFound
from voicebox.errors import ConfigError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0  # seconds before a card is tried again
_RENEW, _LONGEST_RENEW = 30.0, 600.0  # seconds between renewals that interrupt a working card
_HUNG = 30.0  # seconds for one round after which a call into PortAudio counts as hung
_ROUND = 0.25
_CARDS = Path("/proc/asound/cards")


@dataclass(slots=True)
class Outage:
    """How long a stream has been without its card, in attempts."""

    pause: float = _FIRST_PAUSE
    retry_at: float = 0.0
    told: str = ""


class Stream(Protocol):
    """What the keeper keeps. It alone calls these methods."""

    @property
    def kind(self) -> str: ...

    name: str
    setting: str
    outage: Outage
    broken: bool
    """Set by others: no callbacks come any more; the keeper is to close it."""
    restart_wanted: bool
    """Set by others: the stream has ended itself and is needed again."""
    wanted: bool
    """Set by others: whether it is to be open at all."""

    @property
    def is_open(self) -> bool: ...

    @property
    def unplugged(self) -> bool:
        """It is open, but the kernel no longer knows its card."""

    def open(self, audio: Any) -> None: ...  # noqa: ANN401  # a pyaudio.PyAudio, which ships no types

    def restart(self) -> None: ...

    def close(self) -> None: ...


class Keeper:
    """``opened`` is called once, after the first round, with what is wrong in the settings if anything is; ``closed``
    at the end; ``lost`` whenever a stream cannot be had, for a new reason. All on the keeper's thread."""

    def __init__(
        self,
        streams: Sequence[Stream],
        connect: Callable[[], Any],
        *,
        lost: Callable[[str, str], None],
        opened: Callable[[ConfigError | None], None],
        closed: Callable[[], None],
    ) -> None:
        self._streams = streams
        self._connect = connect
        self._lost = lost
        self._opened = opened
        self._closed = closed
        self._audio: Any = None
        self._renewed, self._renew_after = 0.0, _RENEW
        self._busy_since: float | None = None
        self._cards = ""
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sound cards", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something is to be done now."""
        self._wake.set()

    @property
    def hangs(self) -> bool:
        """A call into PortAudio has not returned for so long that it never will, or the keeper itself is no more."""
        since = self._busy_since
        return not self._thread.is_alive() or (since is not None and time.monotonic() - since > _HUNG)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def _run(self) -> None:
        try:
            self._first_round()
            while not self._stopping:
                self._wake.wait(_ROUND)
                self._wake.clear()
                if not self._stopping:
                    self._round()
        finally:
            self._disconnect()
            self._closed()

    def _first_round(self) -> None:
        try:
            self._round(self._open_first)
        except ConfigError as error:
            self._opened(error)
        else:
            self._opened(None)

    def _round(self, opener: Callable[[Stream], None] | None = None) -> None:
        self._busy_since = time.monotonic()
        try:
            for stream in self._streams:
                self._look_after(stream)
            if any(time.monotonic() >= stream.outage.retry_at for stream in self._missing()):
                self._open_missing(opener or self._open)
        finally:
            self._busy_since = None

    def _open_missing(self, opener: Callable[[Stream], None]) -> None:
        try:
            self._renew()
        except OSError as error:  # PortAudio itself does not start
            for stream in self._missing():
                self._failed(stream, f"the sound system does not start: {error}; trying again.")
            return
        for stream in self._missing():
            opener(stream)

    def _look_after(self, stream: Stream) -> None:
        if not stream.wanted:
            stream.close()
            stream.broken = False
            stream.outage = Outage()
        elif stream.unplugged:
            self._lost(stream.kind, f'{stream.setting} = "{stream.name}" has been unplugged; waiting for it.')
            self._postpone(stream)
        elif stream.broken:
            self._postpone(stream)
        elif stream.restart_wanted and stream.is_open:
            self._restart(stream)

    def _postpone(self, stream: Stream) -> None:
        """It was open but is of no use: try again later, and ever later while no callback comes."""
        stream.close()
        stream.broken = False
        _wait(stream.outage)

    def _missing(self) -> list[Stream]:
        return [stream for stream in self._streams if stream.wanted and not stream.is_open]

    def _restart(self, stream: Stream) -> None:
        try:
            stream.restart()
        except OSError:
            stream.close()  # the card has been away while it slept; if it is there it is opened at once

    def _renew(self) -> None:
        """PortAudio's list of devices is frozen until all of it is closed: begin anew where that may help. What
        works is interrupted only if cards have come or gone, or ever more seldom when nothing else has helped: each
        renewal also leaks some kB where ALSA has plugins that do."""
        cards = _CARDS.read_text(encoding="utf-8") if _CARDS.exists() else ""
        at_rest = any(stream.is_open or not stream.wanted for stream in self._streams)
        refused = any(stream.outage.told for stream in self._missing())
        overdue = refused and time.monotonic() - self._renewed >= self._renew_after
        if self._audio and at_rest and cards == self._cards and not overdue:
            return
        self._renew_after = min(2 * self._renew_after, _LONGEST_RENEW) if overdue and at_rest else _RENEW
        self._disconnect()
        self._audio, self._cards, self._renewed = self._connect(), cards, time.monotonic()

    def _disconnect(self) -> None:
        for stream in self._streams:
            stream.close()
        audio, self._audio = self._audio, None
        if audio is not None:
            audio.terminate()

    def _open_first(self, stream: Stream) -> None:
        """At the start a wrong name is the owner's to mend; later the box must live with what comes and goes."""
        self._attempt(stream, forgiven=(NotFound, OSError))

    def _open(self, stream: Stream) -> None:
        self._attempt(stream, forgiven=(NotFound, OSError, ConfigError))

    def _attempt(self, stream: Stream, forgiven: tuple[type[Exception], ...]) -> None:
        try:
            stream.open(self._audio)
        except forgiven as error:
            because = f'{stream.setting} = "{stream.name}" cannot be opened: {error}. Is another program using it?'
            self._failed(stream, because if isinstance(error, OSError) else str(error))

    def _failed(self, stream: Stream, message: str) -> None:
        _wait(stream.outage)
        if message != stream.outage.told:
            stream.outage.told = message
            self._lost(stream.kind, message)


def _wait(outage: Outage) -> None:
    outage.retry_at = time.monotonic() + outage.pause
    outage.pause = min(2 * outage.pause, _LONGEST_PAUSE)
