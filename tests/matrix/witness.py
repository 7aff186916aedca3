"""What the tests of the matrix have in common, and look at: the wire, the speaker, the microphone."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.house import SILENT_AFTER, House, living
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.wavfile import FlushMark
from voicebox.core.events import Event, Interrupted
from voicebox.core.state import Phase
from voicebox.services.base import Capabilities, discover
from voicebox.simulator.base import Link, Setup
from voicebox.simulator.recording import Noted

Samples = NDArray[np.int16]

SERVICES = sorted(discover())
BRIEF = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "3.0"}
ONE_TURN = [Phase.IDLE, Phase.CONNECTING, Phase.LISTENING, Phase.THINKING, Phase.SPEAKING, Phase.LISTENING, Phase.IDLE]


def living_briefly(service: str, **how: Any) -> Any:  # noqa: ANN401  # as living
    """A parrot that is not listened to for long."""
    how["options"] = BRIEF | how.get("options", {})
    return living(service=service, **({"brain": "parrot", "duplex": "half"} | how))


async def to_the_end(house: House, within: float = 120.0) -> None:
    """The conversation ends by itself, and the connection with it."""
    await house.until_phase(Phase.IDLE, within)
    await asyncio.sleep(1.5)
    assert house.phase is Phase.IDLE
    assert not house.app.session.connected
    assert house.app.hearing.trouble() is None


def capabilities(house: House) -> Capabilities:
    return house.app.adapter.capabilities


def events(house: House, kind: type[Event]) -> list[Any]:
    return [step.event for _, step in house.steps if isinstance(step.event, kind)]


def fields(message: Noted) -> dict[str, Any]:
    """A text message as an object; nothing where it is none."""
    try:
        found = json.loads(message.text or "null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def kinds(house: House, direction: str, connection: int = -1) -> list[str]:
    """The types of all text messages, in order."""
    messages = house.simulator.connections[connection].messages
    return [str(fields(m).get("type", "")) for m in messages if m.direction == direction and m.text is not None]


def cut_on_the_wire(house: House) -> int:
    """How often the service has said that it was interrupted."""
    return sum("interruption" in kind for kind in kinds(house, "sent"))


# --- the speaker ---------------------------------------------------------------------------------------------------


def heard(house: House) -> Samples:
    """All that was played of replies."""
    spans = [house.backend.spk[first:end] for _, first, end in house.backend.speaker.spoken]
    return np.concatenate([np.zeros(0, np.int16), *spans])


def sent(house: House, connection: int = -1, reply: int = 1) -> Samples:
    """What the service said; it counts its replies anew on every connection."""
    return np.frombuffer(bytes(house.simulator.connections[connection].sent_pcm[reply]), "<i2")


def is_exact(house: House) -> bool:
    """The service sends samples, not something that was made from them."""
    return "MP3" not in capabilities(house).downlink


def assert_whole(house: House, played: Samples, said: Samples, *, exact: bool | None = None) -> None:
    """What was played is what was said: all of it, once, in order."""
    assert said.size > PLAYBACK_RATE // 2
    if is_exact(house) if exact is None else exact:
        assert np.array_equal(played, said)
    else:
        assert_alike(played, said)


def assert_begins(house: House, played: Samples, said: Samples) -> None:
    """What was played is the beginning of what was said, half a second at least; where it was cut it fades."""
    played = played[:-SILENT_AFTER]
    assert PLAYBACK_RATE // 2 < played.size <= said.size + PLAYBACK_RATE // 10
    assert_whole(house, played, said[: played.size])


def assert_alike(played: Samples, said: Samples) -> None:
    """The same sound after a lossy journey: as long, within 100 ms, and where it fits best nearly equal."""
    assert abs(played.size - said.size) < PLAYBACK_RATE // 10
    assert fit(said, played) > 0.97


def fit(one: Samples, other: Samples) -> float:
    """The normalised correlation of two sounds, shifted so that they fit best: 1 is the same sound."""
    size = 1 << int(np.ceil(np.log2(one.size + other.size)))
    spectra = np.fft.rfft(one.astype(float), size) * np.conj(np.fft.rfft(other.astype(float), size))
    best = float(np.fft.irfft(spectra, size).max())
    return best / float(np.linalg.norm(one.astype(float)) * np.linalg.norm(other.astype(float)))


def assert_silent(house: House, cut: FlushMark) -> None:
    """Within 20 ms, and nothing of the dead reply after that."""
    assert house.backend.heard_after(cut) <= SILENT_AFTER
    assert house.stale(cut) == 0


def interruptions(house: House) -> list[str]:
    """Who the service's adapter or the service says has cut a reply."""
    return [event.source for event in events(house, Interrupted)]


# --- the microphone ------------------------------------------------------------------------------------------------


def uplink(house: House, connection: int = -1) -> Samples:
    return np.frombuffer(bytes(house.simulator.connections[connection].received_pcm), "<i2")


def assert_was_said(house: House, connection: int = -1) -> None:
    """The first second that went up is what the microphone heard."""
    up = uplink(house, connection)[:CAPTURE_RATE]
    assert up.size == CAPTURE_RATE
    place(house, up)


def place(house: House, up: Samples) -> int:
    """The microphone position where this was heard: exactly, or nearly where the service wants another rate."""
    mic = house.backend.mic
    begin = best_lag(mic, up)
    found = mic[begin : begin + up.size]
    if capabilities(house).uplink_rate == CAPTURE_RATE:
        assert np.array_equal(found, up)
    else:
        assert fit(found, up) > 0.97
    return begin


def best_lag(long: Samples, short: Samples) -> int:
    """Where the short sound fits best into the long one."""
    size = 1 << int(np.ceil(np.log2(long.size + short.size)))
    spectra = np.fft.rfft(long.astype(float), size) * np.conj(np.fft.rfft(short.astype(float), size))
    return int(np.fft.irfft(spectra, size)[: long.size - short.size + 1].argmax())


def audio_up_since(house: House, when: float) -> list[Noted]:
    """Messages with sound that the service has got since then."""
    audio = {"audio", "audio_input"}
    return [m for m in house.received() if m.at > when and (m.text is None or fields(m).get("type") in audio)]


# --- the simulator's side ------------------------------------------------------------------------------------------


def watch(house: House) -> list[Any]:
    """The links of all connections from now on, so that one can see how they ended, or speak through them."""
    kind: Any = house.simulator._service
    links: list[Any] = []

    def init(self: Any, setup: Setup, link: Link) -> None:  # noqa: ANN401  # whichever service it is
        links.append(link)
        kind.__init__(self, setup, link)

    house.simulator._service = type(kind.__name__, (kind,), {"__init__": init})
    return links


def inject(house: House, *messages: str | bytes) -> None:
    """From now on the service sends these before each reply."""
    kind: Any = house.simulator._service

    async def begins(self: Any, reply: object) -> None:  # noqa: ANN401  # as above
        for message in messages:
            await self._link.send(message)
        await kind.reply_begins(self, reply)

    house.simulator._service = type(kind.__name__, (kind,), {"reply_begins": begins})


def count_dials(house: House) -> list[float]:
    """When the adapter is asked to dial, from now on."""
    adapter: Any = house.app.adapter
    dial: Callable[[Mapping[str, str], float], object] = adapter.dial
    dials: list[float] = []

    def counting(credentials: Mapping[str, str], now: float) -> object:
        dials.append(now)
        return dial(credentials, now)

    adapter.dial = counting
    return dials
