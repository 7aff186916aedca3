"""What the tests of the NextEVI adapter share: a session, messages as NextEVI may write them, what was answered."""

import base64
import itertools
import json
from collections.abc import Iterable
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

from voicebox.core.events import ReplyAudio
from voicebox.services.base import Dial, Effect, Later, Send, Sound
from voicebox.services.nextevi import Service, Settings
from voicebox.wire import wav

Envelope = Literal["flat", "data"]
ENVELOPES: tuple[Envelope, ...] = ("flat", "data")
NOW = 1_700_000_000.25
PCM = b"\1\0" * 240
CANARY = "oak_canary-0123456789"
"""A key that must not be seen anywhere."""
KEY = {"nextevi_api_key": CANARY}

T = TypeVar("T")


def service(**changes: Any) -> Service:
    """Dialled, not yet opened. Its ids count: the n-th is ``id-n``."""
    numbers = itertools.count(1)
    adapter = Service(
        Settings(**({"config_id": "cfg_1"} | changes)), new_id=lambda: f"id-{next(numbers)}", clock=lambda: NOW
    )
    adapter.dial(KEY, NOW)
    return adapter


def dial(adapter: Service, credentials: dict[str, str] = KEY, now: float = NOW) -> Dial:
    return adapter.dial(credentials, now)[0]


def query(target: Dial) -> dict[str, str]:
    return {key: value for key, (value,) in parse_qs(urlsplit(target.url).query, strict_parsing=True).items()}


def says(kind: str, envelope: Envelope = "data", **fields: Any) -> str:
    """A message of NextEVI's."""
    head = {"type": kind, "timestamp": 1645123456.789, "message_id": "msg-7"}
    return json.dumps(head | (fields if envelope == "flat" else {"data": fields}))


def ready(**changes: Any) -> Service:
    adapter = service(**changes)
    adapter.opened()
    feed(adapter, METADATA, READY)
    return adapter


def talking(**changes: Any) -> Service:
    """Its microphone is open."""
    adapter = ready(**changes)
    adapter.audio_start()
    return adapter


def feed(adapter: Service, *messages: str | bytes) -> list[Effect]:
    return [effect for message in messages for effect in adapter.received(message)]


def only(kind: type[T], effects: Iterable[object]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Iterable[Effect]) -> list[Any]:
    """Text frames as objects, binary frames as bytes."""
    messages = [effect.message for effect in only(Send, effects)]
    return [json.loads(m) if isinstance(m, str) else m for m in messages]


def heard(effects: Iterable[Effect]) -> list[tuple[int, bytes]]:
    sounds = [effect for effect in effects if isinstance(effect, ReplyAudio | Sound)]
    return [(sound.reply_id, sound.pcm if isinstance(sound, ReplyAudio) else sound.data) for sound in sounds]


def waits(effects: Iterable[Effect]) -> dict[str, float]:
    return {effect.key: effect.seconds for effect in only(Later, effects)}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def tts(pcm: bytes = PCM, **fields: Any) -> str:
    return json.dumps({"type": "tts_chunk", "message_id": "tts-1", "content": b64(wav.pack(pcm, 24_000))} | fields)


def raw_tts(data: bytes) -> str:
    return json.dumps({"type": "tts_chunk", "content": b64(data)})


def llm(content: str, generation: str = "gen-1", index: int | None = None, *, final: bool = False) -> str:
    number: dict[str, Any] = {} if index is None else {"chunk_index": index}
    return says("llm_response_chunk", content=content, generation_id=generation, is_final=final, **number)


def final(text: str = "hello") -> str:
    """The user has finished."""
    return says("transcription", transcript=text, is_final=True, is_speech_final=True, is_turn_incomplete=False)


METADATA = says(
    "connection_metadata",
    connection_id="conn-xyz789",
    status="connected",
    config={"audio_format": "pcm_24khz_16bit_mono", "encoding": "linear16", "sample_rate": 24000, "channels": 1},
    project_id="project-123",
    config_id="config-abc",
)
READY = says(
    "status",
    status="ready",
    details={"session_settings": {"sample_rate": 24000, "channels": 1, "encoding": "linear16"}},
)
CUT = '{"type":"tts_interruption","timestamp":1645123456.789,"message_id":"interrupt-1","content":""}'
