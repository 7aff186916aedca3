"""ZeebeeAI's server side: see voicebox/wire/zeebee.py for its messages.

It takes one utterance after another, each as a WAV file, and answers with MP3 in numbered pieces. Where the vendor's
page is silent it is strict, so that a sloppy client is found out.
"""

import asyncio
import base64
import binascii
import hmac
import io
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar

from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.pcm import SILENCE, Samples, from_bytes, level, pick_channel, resample, to_bytes
from voicebox.simulator.base import HttpAnswer, Link, Reply, Request, Setup
from voicebox.simulator.brains import Heard
from voicebox.simulator.conversation import Conversation
from voicebox.wire import Message, dump, parse_object, wav
from voicebox.wire import zeebee as wire

PING_EVERY = 20.0  # seconds
MISSED = 3  # pings without an answer after which the client is given up
WARN_AFTER, CLOSE_AFTER = 3.0, 4.5  # times PING_EVERY without a message: 60 s, 90 s
GOING_AWAY = 1001

_PIECE = 3 * 1024  # bytes of sound in one message
_FAINTEST = -60.0  # dBFS of what can be transcribed
_SHORTEST = CAPTURE_RATE // 10  # samples of it
_GARBAGE = ('{"type":"transcript","text":', "[1, 2", '{"type":"status","n":NaN}', "", "null")
_UNKNOWN: tuple[dict[str, Any], ...] = ({"type": "weather_report", "sunny": True}, {"type": 7}, {})
_REFUSALS = {  # fault -> what is said instead of an answer
    "hears_nothing": wire.NO_AUDIO,
    "refuses_sound": wire.BAD_AUDIO,
    "stt_fails": wire.NOT_UNDERSTOOD,
    "unknown_user": wire.UNKNOWN_USER,
    "unknown_error": "The moon is full.",
}
_numbers = itertools.count(1)


class Service:
    """One client of ZeebeeAI."""

    PATH: ClassVar[str] = "/ws"

    def __init__(self, setup: Setup, link: Link) -> None:
        self._faults = setup.faults
        self._secret = setup.token
        self._link = link
        self._conversation = Conversation(self, setup, link)
        self._known = False  # init was accepted
        self._conversation_id = ""  # of the turn that is being answered
        self._turn = asyncio.Lock()
        self._pieces: list[Message | bytes] = []  # of the reply's sound, still to be sent
        self._step = 1.0  # bytes of PCM that one of them stands for
        self._due = 0.0  # bytes of PCM that are not in a piece yet
        self._speaks = False
        self._unanswered = 0  # pings
        self._every = PING_EVERY * self._faults.amount("fast_clock", 1.0)
        self._last_heard = 0.0  # loop time

    @staticmethod
    def answer_http(request: Request, setup: Setup) -> HttpAnswer | None:
        if request.path != Service.PATH:
            return HttpAnswer(404, f"there is only {Service.PATH} here\n")
        if setup.faults.strikes("http_503"):
            wait = f"{setup.faults.amount('http_503'):.0f}"
            return HttpAnswer(503, "a fault that was asked for\n", {"Retry-After": wait})
        return HttpAnswer(401, "a fault that was asked for\n") if setup.faults.strikes("unauthorized") else None

    @staticmethod
    def access(url: str, setup: Setup) -> tuple[dict[str, Any], dict[str, str]]:
        return {"url": url, "allow_plain": True}, {"zeebee_api_key": setup.token}

    async def opened(self) -> None:
        self._last_heard = _now()
        self._link.spawn(self._send_pings())
        self._link.spawn(self._watch_idleness())
        await self._send(wire.Established())

    # what the client says

    async def received(self, message: str | bytes) -> None:
        self._last_heard = _now()
        parsed = parse_object(message) if isinstance(message, str) else None
        if parsed is None:
            await self._refuse("Messages are JSON objects in text frames.")
            return
        kind = parsed.get("type")
        if not self._known and kind == wire.Audio.TYPE:
            await self._refuse(wire.NO_CREDENTIALS)
        elif isinstance(kind, str) and kind in self._HANDLERS:
            await self._HANDLERS[kind](self, parsed)
        else:
            await self._refuse(f"Unknown message type {kind!r:.40}.")

    async def _init(self, fields: Mapping[str, Any]) -> None:
        refusal = self._why_refused(fields)
        if refusal or self._faults.strikes("never_joined"):
            await (self._refuse(refusal) if refusal else asyncio.sleep(0))
            return
        self._known = True
        await self._send(wire.InitAck(status="connected", user_id=f"user_{next(_numbers):05}"))

    def _why_refused(self, fields: Mapping[str, Any]) -> str:
        if fields.get("api_key"):
            fits = self._is_secret(fields["api_key"]) and not self._faults.strikes("unauthorized_message")
            return "" if fits else wire.INVALID_KEY
        if fields.get("user_id"):
            return "" if self._is_secret(fields["user_id"]) else wire.UNKNOWN_USER
        return wire.NO_CREDENTIALS

    def _is_secret(self, value: object) -> bool:
        return isinstance(value, str) and hmac.compare_digest(value.encode(), self._secret.encode())

    async def _audio(self, fields: Mapping[str, Any]) -> None:
        if self._faults.strikes("drop_mid_utterance"):
            self._link.reset()
            return
        refusal = next((text for fault, text in _REFUSALS.items() if self._faults.strikes(fault)), "")
        samples, mistake = _read_sound(fields.get("audio_data"))
        if refusal or mistake:
            await self._refuse(refusal or mistake)
            return
        conversation = fields.get("conversation_id") or f"conv_{next(_numbers):05}"
        self._link.spawn(self._answer(to_bytes(samples), str(conversation)))

    async def _answer(self, pcm: bytes, conversation_id: str) -> None:
        """One after another."""
        async with self._turn:
            self._conversation_id = conversation_id
            await self._send(wire.Status(status="processing"))
            await self._conversation.tell(Heard(f"({len(pcm) / 2 / CAPTURE_RATE:.1f} s of speech)", pcm))

    async def _ping(self, _fields: Mapping[str, Any]) -> None:
        await self._send(wire.Pong())

    async def _pong(self, _fields: Mapping[str, Any]) -> None:
        self._unanswered = 0

    _HANDLERS: ClassVar[dict[str, Callable[["Service", Mapping[str, Any]], Awaitable[None]]]] = {
        wire.Init.TYPE: _init,
        wire.Audio.TYPE: _audio,
        wire.Ping.TYPE: _ping,
        wire.Pong.TYPE: _pong,
    }

    # who says nothing

    async def _send_pings(self) -> None:
        while not self._faults.strikes("no_pings"):
            await asyncio.sleep(self._every)
            if self._unanswered >= MISSED:
                await self._link.close(GOING_AWAY, "no answer to our pings")
                return
            self._unanswered += 1
            await self._send(wire.Ping(ping_id=f"ping_{next(_numbers)}"))
            if self._faults.strikes("reconnect_required"):
                await self._warn(reconnect_required=True)

    async def _watch_idleness(self) -> None:
        while True:
            heard = self._last_heard
            if await self._idle_until(heard + WARN_AFTER * self._every):
                await self._warn()
                if await self._idle_until(heard + CLOSE_AFTER * self._every):
                    await self._link.close(GOING_AWAY, "inactive")
                    return

    async def _idle_until(self, when: float) -> bool:
        heard = self._last_heard
        await asyncio.sleep(max(0.0, when - _now()))
        return self._last_heard == heard

    async def _warn(self, *, reconnect_required: bool = False) -> None:
        await self._send(
            wire.ConnectionWarning(
                level="warning",
                message="Your connection appears to be inactive. Please respond.",
                time_remaining=(CLOSE_AFTER - WARN_AFTER) * self._every,
                reconnect_required=reconnect_required,
                ping_requested=True,
            )
        )

    # what the conversation brings

    async def heard(self, text: str) -> None:
        await self._send(wire.Transcription(text=text), alias="transcription")

    async def reply_begins(self, reply: Reply) -> None:
        await self._garbage()
        response = wire.Response(text=reply.text, conversation_id=self._conversation_id)
        await self._send(response, alias="ai_response")
        self._speaks = not await self._cannot_speak()
        form = "WAV" if self._faults.strikes("wav_sound") else "MP3"
        self._pieces = self._cut(await asyncio.to_thread(_encoded, reply.pcm, form))  # takes a fifth of a second
        self._step, self._due = max(1.0, len(reply.pcm) / max(1, len(self._pieces))), 0.0
        if self._speaks:
            await self._send(wire.StreamStart(total_chunks=self._total(len(self._pieces))))

    async def reply_audio(self, pcm: bytes) -> None:
        self._due += len(pcm)
        while self._due >= self._step:
            self._due -= self._step
            await self._send_piece()

    async def reply_ends(self, reply: Reply) -> None:
        del reply  # the message says nothing about it
        while self._pieces:
            await self._send_piece()
        if self._speaks and not self._faults.strikes("no_end"):
            await self._send(wire.StreamEnd())
        if self._faults.strikes("token_expires"):
            await self._refuse(wire.INVALID_KEY)

    async def interrupted(self) -> None:
        """There is no such message."""

    async def _cannot_speak(self) -> bool:
        text = wire.NOT_SPOKEN.format("openai")
        if self._faults.strikes("tts_fails"):
            await self._send(wire.TtsError(message=text))
            return True
        if self._faults.strikes("tts_fails_as_error"):
            await self._refuse(text)
            return True
        return False

    async def _garbage(self) -> None:
        """What no client should stumble over."""
        broken = _GARBAGE if self._faults.strikes("malformed_json") else ()
        unknown = _UNKNOWN if self._faults.strikes("unknown_type") else ()
        for text in (*broken, *map(dump, unknown)):
            await self._link.send(text)

    # pieces of sound

    def _cut(self, sound: bytes) -> list[Message | bytes]:
        """In the way that was asked for."""
        strikes = self._faults.strikes
        size = 3 * len(sound) + 3 if strikes("one_piece") else _PIECE
        if strikes("binary_sound"):
            return list(_slices(sound, size))
        texts = self._texts(sound, size)
        shuffled = strikes("pieces_shuffled")
        pieces: list[Message | bytes] = [
            wire.Chunk(data=text, chunk_index=number, total_chunks=self._total(len(texts)))
            for number, text in enumerate(texts, 1 if shuffled else 0)
        ]
        if shuffled:
            pieces = [piece for at in range(0, len(pieces), 2) for piece in reversed(pieces[at : at + 2])]
        if strikes("piece_lost"):
            del pieces[len(pieces) // 2]
        return [piece for piece in pieces for _ in range(2)] if strikes("pieces_twice") else pieces

    def _texts(self, sound: bytes, size: int) -> list[str]:
        """One text cut at multiples of four, or anywhere; or each piece encoded by itself."""
        if self._faults.strikes("pieces_padded"):
            return [base64.b64encode(piece).decode() for piece in _slices(sound, size - 1)]
        width = size // 3 * 4 + (1 if self._faults.strikes("pieces_sliced") else 0)
        return [piece.decode() for piece in _slices(base64.b64encode(sound), width)]

    def _total(self, pieces: int) -> int | None:
        if self._faults.strikes("no_total"):
            return None
        return pieces // 2 if self._faults.strikes("wrong_total") else pieces

    async def _send_piece(self) -> None:
        if not self._pieces or not self._speaks:
            self._pieces = []
            return
        piece = self._pieces.pop(0)
        await (self._link.send(piece) if isinstance(piece, bytes) else self._send(piece))

    async def _refuse(self, message: str) -> None:
        await self._send(wire.Error(message=message))

    async def _send(self, message: Message, alias: str = "") -> None:
        text = wire.encode(message)
        if alias and self._faults.strikes("old_names"):
            text = dump({**message.fields(), "type": alias})
        await self._link.send(text)


def _read_sound(data: object) -> tuple[Samples, str]:
    """(samples at 16 kHz, "") or (nothing, what is wrong with it)."""
    nothing = from_bytes(b"")
    if not data:
        return nothing, wire.NO_AUDIO
    try:
        file = wav.read(base64.b64decode(data if isinstance(data, str) else b"?", validate=True))
    except (binascii.Error, ValueError):
        return nothing, wire.BAD_AUDIO
    if (file.bits, file.encoding) != (16, wav.PCM):
        return nothing, wire.BAD_AUDIO
    samples = resample(pick_channel(from_bytes(file.data), file.channels), file.rate, CAPTURE_RATE)
    if not samples.size:
        return nothing, wire.NO_AUDIO
    unclear = samples.size < _SHORTEST or level(samples) < max(_FAINTEST, SILENCE)
    return (nothing, wire.NOT_UNDERSTOOD) if unclear else (samples, "")


@lru_cache(4)
def _encoded(pcm: bytes, form: str) -> bytes:
    """s16le mono 24 kHz as a file."""
    import soundfile  # noqa: PLC0415  # the built-in parrot has no need of it

    file = io.BytesIO()
    soundfile.write(file, from_bytes(pcm), PLAYBACK_RATE, format=form)
    return file.getvalue()


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def _now() -> float:
    return asyncio.get_running_loop().time()
