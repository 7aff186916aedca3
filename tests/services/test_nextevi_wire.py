"""The NextEVI adapter against the simulated service: what is on the wire when both speak (EVI-28 … EVI-31, EVI-79)."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.services.nextevi_kit import heard, only
from tests.simulator.nextevi_client import QUESTION_24K, SILENCE_24K
from voicebox.core.events import (
    EmotionUpdated,
    Interrupted,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    ServiceStatus,
    SessionReady,
    Transcript,
    TurnEnded,
    TurnStarted,
    VendorRaw,
)
from voicebox.limiter import Limiter
from voicebox.services.base import Effect, Later, Send, Sound
from voicebox.services.nextevi import Service, Settings
from voicebox.simulator import Simulator
from voicebox.simulator.recording import Memory
from voicebox.virtualtime import run_virtual

CHUNK = 2 * Service.capabilities.uplink_chunk


class Line:
    """As little of a session as will do: it sends by the limiter, runs the timers, keeps what is reported."""

    def __init__(self, adapter: Service, socket: ClientConnection) -> None:
        self.adapter = adapter
        self.events: list[Effect] = []
        self.verdict: object = None
        self.sounded = asyncio.Event()
        self._socket = socket
        self._limiter = Limiter(adapter.capabilities.rates)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._outbox: asyncio.Queue[Send] = asyncio.Queue()

    def do(self, effects: Iterable[Effect]) -> None:
        loop = asyncio.get_running_loop()
        for effect in effects:
            if isinstance(effect, Send):
                self._outbox.put_nowait(effect)
            elif isinstance(effect, Later):
                if effect.key in self._timers:
                    self._timers[effect.key].cancel()
                self._timers[effect.key] = loop.call_later(effect.seconds, self._expired, effect.key)
            else:
                self.events.append(effect)
                if isinstance(effect, ReplyAudio):
                    self.sounded.set()

    def _expired(self, key: str) -> None:
        self.do(self.adapter.later(key))

    async def send_all(self) -> None:
        while True:
            item = await self._outbox.get()
            kind = "audio" if item.is_audio else "text"
            while (delay := self._limiter.delay(kind, asyncio.get_running_loop().time())) > 0:  # noqa: ASYNC110  # it is the clock that is waited for
                await asyncio.sleep(delay)
            self._limiter.sent(kind, asyncio.get_running_loop().time())
            await self._socket.send(item.message)

    async def receive_all(self) -> None:
        try:
            async for message in self._socket:
                self.do(self.adapter.received(message))
        except ConnectionClosed:
            pass
        self.verdict = self.adapter.closed(self._socket.close_code or 1006, self._socket.close_reason or "")

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def speak(self, pcm: bytes) -> None:
        self.do(self.adapter.audio_start())
        for at in range(0, len(pcm), CHUNK):
            self.do(self.adapter.audio(pcm[at : at + CHUNK]))


async def hold(simulator: Simulator, talk: Any, **changes: Any) -> Line:  # noqa: ANN401  # a coroutine function
    section, secrets = simulator.access
    adapter = Service(Settings(**(section | changes)))
    dial, _ = adapter.dial(secrets, 0.0)
    async with connect(dial.url, additional_headers=dict(dial.headers), ping_interval=None, compression=None) as socket:
        line = Line(adapter, socket)
        line.do(adapter.opened())
        pumps = [asyncio.create_task(line.receive_all()), asyncio.create_task(line.send_all())]
        await talk(line)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        line.close()
    return line


def converse(talk: Any, *faults: str, brain: str = "parrot", **changes: Any) -> tuple[Line, Memory]:  # noqa: ANN401
    envelope = changes.pop("envelope", "data")

    async def main() -> tuple[Line, Memory]:
        async with Simulator("nextevi", brain=brain, faults=faults, envelope=envelope, keep=True) as simulator:
            line = await hold(simulator, talk, **changes)
            return line, simulator.connections[-1]

    return run_virtual(main())


async def one_turn(line: Line) -> None:
    await asyncio.sleep(2)
    line.speak(QUESTION_24K + SILENCE_24K)
    await asyncio.sleep(10)


def reply_of(line: Line) -> bytes:
    return b"".join(event.pcm for event in only(ReplyAudio, line.events))


# --- conversations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", ["data", "flat"])
@pytest.mark.parametrize("uplink", ["binary", "base64"])
@pytest.mark.parametrize("dialect", ["both", "documented", "sdk"])
def test_evi_79_a_turn_in_every_dialect(envelope: str, uplink: str, dialect: str) -> None:
    """EVI-14, EVI-20, EVI-26, EVI-27, EVI-44: the reply comes whole, in one reply, and ends"""
    line, kept = converse(one_turn, envelope=envelope, uplink=uplink, dialect=dialect)
    assert reply_of(line) == bytes(kept.sent_pcm[1])
    assert only(ReplyStarted, line.events) == [ReplyStarted(1)]
    assert only(ReplyDone, line.events) == [ReplyDone(1)]
    assert [t.final for t in only(Transcript, line.events) if t.role == "user"] == [False, True]
    assert "".join(t.text for t in only(ReplyText, line.events)) == only(Transcript, line.events)[-1].text
    for kind in (SessionReady, ServiceStatus, TurnStarted, TurnEnded, EmotionUpdated):
        assert only(kind, line.events), kind
    assert line.adapter.malformed == line.adapter.bad_audio == line.adapter.odd_bytes == 0


@pytest.mark.parametrize(
    "fault", ["bare_pcm", "bad_audio", "growing_text", "undocumented", "never_ready", "malformed_json", "unknown_type"]
)
def test_evi_45_46_42_58_21_a_turn_through_each_oddity(fault: str) -> None:
    """EVI-21, EVI-42, EVI-45, EVI-46, EVI-50, EVI-57, EVI-58: the reply is heard to the last sample"""
    line, kept = converse(one_turn, fault)
    assert reply_of(line) == bytes(kept.sent_pcm[1])
    assert only(ReplyDone, line.events) == [ReplyDone(1)]
    whole = only(Transcript, line.events)[-1].text
    assert "".join(t.text for t in only(ReplyText, line.events)) == whole
    assert line.adapter.bad_audio == (3 if fault == "bad_audio" else 0)
    assert any(isinstance(e, VendorRaw) for e in line.events) == (fault in ("unknown_type", "undocumented"))


def test_evi_47_sound_at_another_rate_is_handed_on_whole() -> None:
    line, kept = converse(one_turn, "wav_16k")
    assert reply_of(line) == b""
    sounds = only(Sound, line.events)
    assert all(sound.whole and sound.reply_id == 1 for sound in sounds)
    assert sum(len(data) - 44 for _, data in heard(line.events)) == pytest.approx(
        len(kept.sent_pcm[1]) * 2 / 3, rel=0.01
    )


@pytest.mark.parametrize("fault", ["", "undocumented"])
def test_evi_53_54_55_a_reply_that_is_interrupted_stays_dead(fault: str) -> None:
    """EVI-53, EVI-54, EVI-55: what the service sends late is not heard, the next reply is"""

    async def talk(line: Line) -> None:
        await asyncio.sleep(2)
        line.speak(QUESTION_24K + SILENCE_24K)
        await line.sounded.wait()
        line.speak(QUESTION_24K[:48_000])
        await asyncio.sleep(2)
        line.speak(QUESTION_24K[48_000:] + SILENCE_24K)
        await asyncio.sleep(20)

    line, kept = converse(talk, "late_audio=250", *([fault] if fault else []), brain="talker")
    cut = next(at for at, event in enumerate(line.events) if isinstance(event, Interrupted))
    assert line.events[cut] == Interrupted(1)
    after = heard(line.events[cut:])
    assert {reply for reply, _ in after} == {2}
    assert b"".join(pcm for _, pcm in after) == bytes(kept.sent_pcm[2])
    assert line.adapter.dropped_bytes == len(kept.late_pcm[1]) > 0


# --- a flood, counted where it arrives -----------------------------------------------------------------------------


def _windows(at: list[float], seconds: float) -> int:
    """The most of them that fall within so many seconds."""
    return max(sum(begin <= t < begin + seconds for t in at) for begin in at)


def _received(kept: Memory) -> tuple[list[float], list[float]]:
    """Times of the sound and of the text messages that arrived."""
    received = [noted for noted in kept.messages if noted.direction == "received"]
    sound = [n.at for n in received if n.text is None or json.loads(n.text)["type"] == "audio_input"]
    return sound, [n.at for n in received if n.at not in set(sound)]


@pytest.mark.parametrize("uplink", ["binary", "base64"])
def test_evi_28_30_and_31_a_flood_of_sound_is_never_too_much(uplink: str) -> None:
    """EVI-28, EVI-30, EVI-31: the simulator counts, and would close with 4004"""

    async def flood(line: Line) -> None:
        await asyncio.sleep(2)
        line.do(line.adapter.audio_start())
        for _ in range(2200):
            line.do(line.adapter.audio(bytes(CHUNK)))
        await asyncio.sleep(180)

    line, kept = converse(flood, uplink=uplink)
    sound, _ = _received(kept)
    assert len(sound) == 2200
    assert _windows(sound, 60.0) == 1000
    assert _windows(sound, 1.0) <= 100
    assert max(n.size for n in kept.messages if n.direction == "received") <= 1_000_000
    assert line.verdict is None, "nobody hung up"


def test_evi_29_a_flood_of_text_is_never_too_much() -> None:
    async def flood(line: Line) -> None:
        await asyncio.sleep(2)
        for n in range(230):
            line.do(line.adapter.settings({"silence_threshold": 0.5 + n / 1000}))
        await asyncio.sleep(180)

    _, kept = converse(flood)
    _, text = _received(kept)
    assert len(text) > 230
    assert _windows(text, 60.0) <= 100


def test_evi_32_and_33_signs_of_life_come_when_it_is_quiet_only() -> None:
    """EVI-32, EVI-33"""

    async def talk(line: Line) -> None:
        await asyncio.sleep(95)
        line.speak(b"")
        for _ in range(600):  # 72 s, live
            line.do(line.adapter.audio(bytes(CHUNK)))
            await asyncio.sleep(0.12)
        line.do(line.adapter.audio_stop())
        await asyncio.sleep(40)

    _, kept = converse(talk)
    messages = [json.loads(n.text) | {"at": n.at} for n in kept.messages if n.direction == "received" and n.text]
    signs = [m["at"] for m in messages if m["type"] == "keep_alive"]
    assert signs == pytest.approx([30, 60, 90, 167 + 30], abs=0.5)


def test_evi_29_keeping_alive_and_settings_stay_far_below_the_limit() -> None:
    async def talk(_line: Line) -> None:
        await asyncio.sleep(1800)

    _, kept = converse(talk)
    _, text = _received(kept)
    assert 59 <= len(text) <= 62


@pytest.mark.parametrize(("code", "retry"), [(1001, True), (1011, True), (4004, True), (4001, False), (4002, False)])
def test_evi_60_64_65_66_68_what_a_close_means_when_it_comes(code: int, retry: bool) -> None:
    """EVI-60, EVI-64, EVI-65, EVI-66, EVI-68"""

    async def wait(_line: Line) -> None:
        await asyncio.sleep(3)

    line, _ = converse(wait, f"close_code={code}")
    assert getattr(line.verdict, "retry", None) is retry
