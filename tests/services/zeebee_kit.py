"""What the tests of the ZeebeeAI adapter share: a session, messages as ZeebeeAI writes them, what the adapter did."""

import base64
import json
from collections.abc import Iterable
from typing import Any, TypeVar

from voicebox.services.base import Dial, Effect, Later, Send, Sound
from voicebox.services.zeebee import Service, Settings

NOW = 1_700_000_000.0
KEY = "canary-key-0123456789"
USER = "canary-user-0123456789"
"""Secrets that must not be seen anywhere."""
SPEECH = b"\1\0" * 16_000
MP3 = b"ID3\4" + bytes(range(200))

T = TypeVar("T")


def service(**settings: Any) -> Service:
    """Dialled, not yet opened."""
    adapter = Service(Settings(**settings), clock=lambda: NOW + 0.25)
    redial(adapter)
    return adapter


def redial(adapter: Service, now: float = NOW, **credentials: str) -> Dial:
    return adapter.dial(credentials or {"zeebee_api_key": KEY}, now)[0]


def says(kind: str, **fields: Any) -> str:
    """A message of ZeebeeAI's."""
    return json.dumps({"type": kind} | fields)


ACK = says("init_ack", status="connected", user_id=USER)
START = says("audio_stream_start", total_chunks=3)
END = says("audio_stream_end")


def welcomed(**settings: Any) -> Service:
    adapter = service(**settings)
    adapter.opened()
    adapter.received(ACK)
    return adapter


def speak(adapter: Service, pcm: bytes = SPEECH, chunk: int = 3200) -> list[Effect]:
    effects = list(adapter.audio_start())
    for at in range(0, len(pcm), chunk):
        effects += adapter.audio(pcm[at : at + chunk])
    return effects + list(adapter.audio_stop())


def asked(**settings: Any) -> Service:
    """With an utterance in flight."""
    adapter = welcomed(**settings)
    speak(adapter)
    return adapter


def feed(adapter: Service, *messages: str | bytes) -> list[Effect]:
    return [effect for message in messages for effect in adapter.received(message)]


def pieces(data: bytes = MP3, count: int = 3, first: int = 0) -> list[str]:
    size = -(-len(data) // count)
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    return [
        says("audio_chunk", data=base64.b64encode(c).decode(), chunk_index=n, total_chunks=count)
        for n, c in enumerate(cut, first)
    ]


def reply(text: str = "well", data: bytes = MP3) -> list[str]:
    return [says("transcript", text="hello"), says("response", text=text), START, *pieces(data), END]


def only(kind: type[T], effects: Iterable[object]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Iterable[Effect]) -> list[dict[str, Any]]:
    return [json.loads(effect.message) for effect in only(Send, effects)]


def heard(effects: Iterable[Effect]) -> dict[int, bytes]:
    """Encoded sound by reply."""
    sound: dict[int, bytes] = {}
    for effect in only(Sound, effects):
        sound[effect.reply_id] = sound.get(effect.reply_id, b"") + effect.data
    return sound


def waits(effects: Iterable[Effect]) -> dict[str, float]:
    return {effect.key: effect.seconds for effect in only(Later, effects)}
