"""ZBE-66: ZeebeeAI's server side, against a raw WebSocket client, and a whole conversation with our adapter."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.simulator.client import QUESTION, SILENCE, Client, client_of, noise
from voicebox.audio.decode import Decoder
from voicebox.core.events import Event, ReplyDone, ReplyStarted, ServiceError, SessionReady
from voicebox.services import zeebee as adapter
from voicebox.services.base import Send, Sound
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual
from voicebox.wire import wav
from voicebox.wire.zeebee import (
    BAD_AUDIO,
    INVALID_KEY,
    NO_AUDIO,
    NO_CREDENTIALS,
    NOT_SPOKEN,
    NOT_UNDERSTOOD,
    SERVER_MESSAGES,
    UNKNOWN_USER,
)

WAV = base64.b64encode(wav.pack(QUESTION, 16_000)).decode()


def simulated(*faults: str, brain: str = "parrot") -> Simulator:
    return Simulator("zeebee", faults=faults, brain=brain, keep=True)


async def log_in(client: Client, simulator: Simulator) -> Client:
    await client.send({"type": "init", "api_key": simulator.token})
    await client.until("init_ack")
    return client


async def ask(client: Client, **fields: Any) -> None:
    await client.send({"type": "audio", "audio_data": WAV, **fields})


def told(talk: Callable[[Client, Simulator], Any], *faults: str) -> Client:
    """All that a client of this simulator was told while ``talk`` went on."""

    async def main() -> Client:
        async with simulated(*faults) as simulator, client_of(simulator) as client:
            await talk(client, simulator)
        return client

    return run_virtual(main())


def texts(client: Client) -> list[str]:
    return [got.message["message"] for got in client.got if got.kind == "error"]


# --- opening -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credentials", "text"),
    [
        ({"api_key": "wrong"}, INVALID_KEY),
        ({"api_key": 7}, INVALID_KEY),
        ({"user_id": "nobody"}, UNKNOWN_USER),
        ({}, NO_CREDENTIALS),
        ({"api_key": None, "user_id": ""}, NO_CREDENTIALS),
    ],
)
def test_all_authentication_errors(credentials: dict[str, Any], text: str) -> None:
    """ZBE-66"""

    async def talk(client: Client, _simulator: Simulator) -> None:
        await client.send({"type": "init", **credentials})
        await client.until("error")
        await ask(client)
        await client.until("error")

    assert texts(told(talk)) == [text, NO_CREDENTIALS]


def test_either_credential_opens_the_session() -> None:
    async def talk(client: Client, simulator: Simulator) -> None:
        for name in ("api_key", "user_id"):
            await client.send({"type": "init", name: simulator.token})
            assert (await client.until("init_ack")).message["status"] == "connected"

    assert told(talk).kinds[0] == "connection_established"


def test_http_refusals() -> None:
    async def main() -> list[int]:
        codes = []
        for path, faults in (("/other", ()), ("/ws", ("http_503",)), ("/ws", ("unauthorized",))):
            async with simulated(*faults) as simulator:
                simulator.url = simulator.url.replace("/ws", path).replace("ws:", "ws:", 1)
                with pytest.raises(InvalidStatus) as refused:
                    async with client_of(simulator):
                        pass
                codes.append(refused.value.response.status_code)
        return codes

    assert run_virtual(main()) == [404, 503, 401]


# --- a turn --------------------------------------------------------------------------------------------------------


def test_every_server_type_in_its_order() -> None:
    """ZBE-66"""

    async def talk(client: Client, simulator: Simulator) -> None:
        await log_in(client, simulator)
        await ask(client)
        await client.until("tts_error")
        await ask(client)
        await client.until("audio_stream_end")
        await ask(client, audio_data="")
        await client.until("error")
        await client.send({"type": "ping", "timestamp": 1})
        await client.until("pong")
        await client.until("connection_warning", 100)

    client = told(talk, "tts_fails")
    first, second = ("status", "transcript", "response", "tts_error"), ("status", "transcript", "response")
    kinds = [kind for kind in client.kinds if kind not in ("audio_chunk", "ping")]
    end = ("audio_stream_start", "audio_stream_end", "error", "pong", "connection_warning")
    assert kinds == ["connection_established", "init_ack", *first, *second, *end]
    assert set(client.kinds) == set(SERVER_MESSAGES)


def test_utterances_are_answered_one_after_another_each_in_its_conversation() -> None:
    async def talk(client: Client, simulator: Simulator) -> None:
        await log_in(client, simulator)
        await ask(client)
        await ask(client, conversation_id="conv_1")
        for _ in range(2):
            await client.until("audio_stream_end")

    client = told(talk)
    ids = [got.message["conversation_id"] for got in client.got if got.kind == "response"]
    assert ids[0].startswith("conv_")
    assert ids[1] == "conv_1"
    kinds = [kind for kind in client.kinds if kind in ("response", "audio_stream_end")]
    assert kinds == ["response", "audio_stream_end"] * 2


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, NO_AUDIO),
        ("", NO_AUDIO),
        ("?", BAD_AUDIO),
        (7, BAD_AUDIO),
        ("data:audio/wav;base64," + WAV, BAD_AUDIO),
        (base64.b64encode(QUESTION).decode(), BAD_AUDIO),
        (base64.b64encode(wav.pack(b"", 16_000)).decode(), NO_AUDIO),
        (base64.b64encode(wav.pack(QUESTION, 16_000, bits=8)).decode(), BAD_AUDIO),
        (base64.b64encode(wav.pack(SILENCE, 16_000)).decode(), NOT_UNDERSTOOD),
        (base64.b64encode(wav.pack(noise(1, -70), 16_000)).decode(), NOT_UNDERSTOOD),
        (base64.b64encode(wav.pack(QUESTION[:3000], 16_000)).decode(), NOT_UNDERSTOOD),
    ],
)
def test_the_upload_is_decoded_and_garbage_refused(data: object, text: str) -> None:
    """ZBE-66"""

    async def talk(client: Client, simulator: Simulator) -> None:
        await log_in(client, simulator)
        await ask(client, audio_data=data)
        await client.until("error")

    assert texts(told(talk)) == [text]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("hears_nothing", NO_AUDIO),
        ("refuses_sound", BAD_AUDIO),
        ("stt_fails", NOT_UNDERSTOOD),
        ("unknown_user", UNKNOWN_USER),
        ("unknown_error", "The moon is full."),
        ("tts_fails_as_error", NOT_SPOKEN.format("openai")),
        ("token_expires", INVALID_KEY),
    ],
)
def test_every_error_text_can_be_had_once(fault: str, text: str) -> None:
    """ZBE-66"""

    async def talk(client: Client, simulator: Simulator) -> None:
        await log_in(client, simulator)
        await ask(client)
        await client.until("error")
        await ask(client)
        await client.until("audio_stream_end")

    assert texts(told(talk, fault)) == [text]


@pytest.mark.parametrize("message", ["[1", b"\0\0", '{"type":"dance"}', '{"type":["init"]}', "{}"])
def test_what_it_does_not_know_it_refuses(message: str | bytes) -> None:
    async def talk(client: Client, simulator: Simulator) -> None:
        await client.send(message)
        await client.until("error")
        await log_in(client, simulator)

    assert len(texts(told(talk))) == 1


# --- who says nothing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "faults"), [(1.0, ()), (0.1, ("fast_clock=0.1",))])
def test_it_pings_every_20_s_and_gives_up_who_misses_three(scale: float, faults: tuple[str, ...]) -> None:
    """ZBE-66: scalable"""

    async def talk(client: Client, simulator: Simulator) -> None:
        await log_in(client, simulator)
        begun = asyncio.get_running_loop().time()
        closed = await client.until_closed(200)
        assert closed.rcvd is not None
        assert closed.rcvd.reason == "no answer to our pings"
        pings = [got.at - begun for got in client.got if got.kind == "ping"]
        assert pings == pytest.approx([20 * scale, 40 * scale, 60 * scale], abs=0.1)
        assert asyncio.get_running_loop().time() - begun == pytest.approx(80 * scale, abs=0.6)

    told(talk, *faults)


def test_who_answers_stays_as_long_as_he_likes() -> None:
    """ZBE-21, ZBE-66"""

    async def talk(client: Client, simulator: Simulator) -> None:
        await log_in(client, simulator)
        for _ in range(20):
            ping = (await client.until("ping")).message["ping_id"]
            await client.send({"type": "pong", "ping_id": ping, "timestamp": 1})

    assert "connection_warning" not in told(talk).kinds


def test_it_warns_after_60_s_of_silence_and_closes_after_90() -> None:
    """ZBE-66"""

    async def talk(client: Client, simulator: Simulator) -> None:
        await log_in(client, simulator)
        begun = asyncio.get_running_loop().time()
        warning = await client.until("connection_warning", 200)
        assert warning.at - begun == pytest.approx(60, abs=0.1)
        assert (warning.message["time_remaining"], warning.message["ping_requested"]) == (30, True)
        await client.send({"type": "ping"})
        again = await client.until("connection_warning", 200)
        assert again.at - warning.at == pytest.approx(60, abs=0.1)
        closed = await client.until_closed(200)
        assert closed.rcvd is not None
        assert closed.rcvd.reason == "inactive"
        assert asyncio.get_running_loop().time() - again.at == pytest.approx(30, abs=0.6)

    told(talk, "no_pings")


def test_it_may_want_the_box_to_reconnect() -> None:
    async def talk(client: Client, simulator: Simulator) -> None:
        await log_in(client, simulator)
        assert (await client.until("connection_warning")).message["reconnect_required"]

    told(talk, "reconnect_required")


# --- with our adapter ----------------------------------------------------------------------------------------------

STYLES = [
    [],
    ["pieces_padded"],
    ["pieces_sliced"],
    ["pieces_shuffled"],
    ["pieces_twice"],
    ["one_piece"],
    ["binary_sound"],
    ["wrong_total"],
    ["no_total"],
    ["no_end"],
    ["old_names"],
    ["malformed_json", "unknown_type"],
]


def converse(*faults: str) -> tuple[list[Event], bytes, Simulator]:
    """One turn of our adapter with the simulator: its events, and what is heard."""

    async def main() -> tuple[list[Event], bytes, Simulator]:
        service = adapter.Service(adapter.Settings(allow_plain=True))
        decoder, heard, events = Decoder(), bytearray(), list[Event]()
        async with simulated(*faults) as simulator, client_of(simulator) as client:
            service.dial(simulator.access[1], 0.0)
            effects = list(service.opened())
            async with asyncio.timeout(60):
                while not any(isinstance(event, ReplyDone) for event in events):
                    for effect in effects:
                        if isinstance(effect, Send):
                            await client.send(effect.message)
                        elif isinstance(effect, Sound):
                            heard += decoder(effect)
                        elif isinstance(effect, Event):
                            events.append(effect)
                    ready = any(isinstance(effect, SessionReady) for effect in effects)
                    try:
                        async with asyncio.timeout(10):
                            effects = speak(service) if ready else list(service.received(await client.socket.recv()))
                    except TimeoutError:
                        effects = list(service.later("answer"))
        return events, bytes(heard), simulator

    return run_virtual(main())


def speak(service: adapter.Service) -> list[Any]:
    return [*service.audio_start(), *service.audio(QUESTION), *service.audio_stop()]


@pytest.mark.parametrize("form", [[], ["wav_sound"]])
@pytest.mark.parametrize("style", STYLES)
def test_the_reply_is_heard_whole_however_it_is_cut(style: list[str], form: list[str]) -> None:
    """ZBE-66: four styles of cutting, MP3 and WAV; ZBE-38 to ZBE-49, ZBE-63, ZBE-64"""
    events, heard, simulator = converse(*style, *form)
    (said,) = simulator.connections[0].sent_pcm.values()
    assert len(heard) == len(said)
    assert simulator.connections[0].received_pcm == QUESTION
    assert [type(event) for event in events if isinstance(event, ReplyStarted | ReplyDone)] == [ReplyStarted, ReplyDone]


def test_of_a_reply_with_a_hole_the_beginning_is_heard() -> None:
    """ZBE-43"""
    _, heard, simulator = converse("piece_lost")
    (said,) = simulator.connections[0].sent_pcm.values()
    assert 0.3 * len(said) < len(heard) < 0.8 * len(said)


@pytest.mark.parametrize("fault", ["tts_fails", "tts_fails_as_error", "stt_fails", "hears_nothing", "refuses_sound"])
def test_what_fails_is_told_and_nobody_waits(fault: str) -> None:
    """ZBE-50 to ZBE-54"""
    events, heard, _ = converse(fault)
    assert heard == b""
    assert len([event for event in events if isinstance(event, ServiceError)]) == 1
