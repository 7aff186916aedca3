"""LIRA-46: the server's side of the protocol, against a raw WebSocket client."""

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.simulator.client import QUESTION, SILENCE, Client, client_of
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual
from voicebox.wire.lira import CLIENT_MESSAGES, SERVER_MESSAGES, Dialect, Envelope, Join, UpdateSettings, encode

ENVELOPES: list[Envelope] = ["data", "flat", "payload"]
DIALECTS: list[Dialect] = ["documented", "lira-web", "both"]


def test_a_bad_token_is_refused_with_401() -> None:
    """LIRA-46"""

    async def main() -> None:
        async with Simulator() as simulator:
            for token in ("", "wrong", simulator.token[:-1], "ü"):
                with pytest.raises(InvalidStatus) as refused:
                    async with client_of(simulator, token):
                        pass
                assert refused.value.response.status_code == 401

    run_virtual(main())


def test_another_path_is_not_found() -> None:
    async def main() -> None:
        async with Simulator() as simulator:
            simulator.url = simulator.url.replace("/lira/", "/other/")
            with pytest.raises(InvalidStatus) as refused:
                async with client_of(simulator):
                    pass
            assert refused.value.response.status_code == 404

    run_virtual(main())


async def everything(client: Client, simulator: Simulator) -> None:
    """Make the server send each of its types."""
    await client.listen(simulator)
    await client.send({"type": "settings", "personality": "challenger", "wake_word_enabled": False})
    await client.speak(QUESTION + SILENCE)
    await client.until("audio")
    await client.speak(QUESTION)
    await client.until("interruption")
    await client.send({"type": "text", "text": "task: buy milk"})
    await client.until("ai_response_end")
    await client.send({"type": "join", "meetingId": simulator.meeting_id})
    await client.until("error")


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_all_ten_server_types_in_each_envelope(envelope: Envelope) -> None:
    """LIRA-46"""

    async def main() -> list[dict[str, Any]]:
        async with Simulator(envelope=envelope) as simulator, client_of(simulator) as client:
            await everything(client, simulator)
        return [got.message for got in client.got if isinstance(got.message, dict)]

    messages = run_virtual(main())
    assert {message["type"] for message in messages} == set(SERVER_MESSAGES)
    filled = [message for message in messages if message["type"] not in ("interruption", "ai_response_end")]
    if envelope == "flat":
        assert all(not {"data", "payload"} & message.keys() for message in messages)
    else:
        assert all(message.keys() == {"type", envelope} for message in filled)
    by_type = {message["type"]: message.get(envelope, message) for message in filled}
    assert by_type["joined"]["session_id" if envelope == "payload" else "sessionId"]
    assert by_type["participant_event"]["action"] == "joined"
    assert by_type["transcript"]["role"] == "user"
    assert by_type["settings_updated"]["settings"] == {"personality": "challenger", "wake_word_enabled": False}
    assert by_type["task_created"]["task"]["title"] == "buy milk"
    assert by_type["error"]["code"] == "ALREADY_JOINED"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_six_client_types_in_each_dialect(dialect: Dialect) -> None:
    """LIRA-46"""

    async def main() -> Client:
        async with Simulator() as simulator, client_of(simulator) as client:

            async def say(kind: str, **fields: Any) -> None:
                await client.send(encode(CLIENT_MESSAGES[kind].model_validate(fields), dialect, "ses_1"))

            await client.send(encode(Join(meetingId=simulator.meeting_id), dialect))
            await say("settings", personality="supportive")
            await say("audio_start")
            await client.speak(QUESTION)
            await say("audio_stop")
            await client.until("ai_response_end")
            await say("text", text="hello")
            await client.until("ai_response_end")
            await say("leave")
            closed = await client.until_closed()
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1000
        return client

    client = run_virtual(main())
    assert "error" not in client.kinds
    assert [got.fields["text"] for got in client.got if got.kind == "ai_response"] == ["(1.8 s of speech)", "hello"]
    (settings,) = [got.fields["settings"] for got in client.got if got.kind == "settings_updated"]
    assert settings == {"personality": "supportive", "wake_word_enabled": True}


@pytest.mark.parametrize("meeting", [{"meetingId": "mtg_other"}, {}, {"meetingId": 7}, {"meetingId": None}])
def test_an_unknown_meeting_is_not_found(meeting: dict[str, Any]) -> None:
    """LIRA-46"""

    async def main() -> None:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.send({"type": "join", **meeting})
            assert (await client.next()).fields["code"] == "SESSION_NOT_FOUND"
            await client.join(simulator)

    run_virtual(main())


@pytest.mark.parametrize("message", [encode(UpdateSettings(), "documented"), b"\0\0", '{"type":"audio_start"}'])
def test_nothing_but_join_is_accepted_before_joined(message: str | bytes) -> None:
    """LIRA-46, LIRA-09"""

    async def main() -> None:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.send(message)
            assert (await client.next()).fields["code"] == "NOT_JOINED"
            closed = await client.until_closed()
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1008

    run_virtual(main())


def test_audio_only_between_audio_start_and_audio_stop() -> None:
    """LIRA-46, LIRA-14, LIRA-16"""

    async def main() -> None:
        async with Simulator(keep=True) as simulator, client_of(simulator) as client:
            await client.join(simulator)
            await client.send(b"\1\0")
            assert (await client.next()).fields == {"code": "INVALID_AUDIO", "message": "audio before audio_start"}
            await client.send({"type": "audio_start"})
            await client.send(b"\2\0")
            await client.send({"type": "audio_stop"})
            await client.send(b"\3\0")
            assert (await client.next()).fields["code"] == "INVALID_AUDIO"
            assert simulator.connections[0].received_pcm == b"\2\0"

    run_virtual(main())


def test_half_samples_are_refused() -> None:
    """LIRA-46, LIRA-15"""

    async def main() -> None:
        async with Simulator(keep=True) as simulator, client_of(simulator) as client:
            await client.listen(simulator)
            await client.send(b"\1\2\3")
            assert "whole samples" in (await client.next()).fields["message"]
            assert not simulator.connections[0].received_pcm

    run_virtual(main())


def test_a_turn_brings_transcript_reply_and_end_in_this_order() -> None:
    """LIRA-46"""

    async def main() -> Client:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.listen(simulator)
            await client.speak(QUESTION + SILENCE)
            await client.until("ai_response_end")
        return client

    client = run_virtual(main())
    after_joining = client.kinds[2:]
    assert after_joining == ["transcript", "ai_response", "audio_ready", "audio", "ai_response_end"]
    announced = next(got.fields["duration"] for got in client.got if got.kind == "audio_ready")
    assert announced == pytest.approx(len(client.audio()) / 48_000, abs=0.001)


def test_equal_turns_differ_in_their_timestamps() -> None:
    """LIRA-46: clients drop a transcript that they have seen (role, text, timestamp) before."""

    async def main() -> Client:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.listen(simulator)
            for _ in range(2):
                await client.speak(QUESTION + SILENCE, live=True)
                await client.until("ai_response_end")
        return client

    transcripts = [got.fields for got in run_virtual(main()).got if got.kind == "transcript"]
    assert len(transcripts) == 2
    assert transcripts[0]["timestamp"] < transcripts[1]["timestamp"]
    assert transcripts[0]["timestamp"].endswith("Z")


GARBAGE = {
    "not JSON": ("hello", 1007),
    "not an object": ("[1]", 1007),
    "empty": ("", 1007),
    "NaN": ('{"type":"settings","x":NaN}', 1007),
    "too deep": ("[" * 100_000, 1007),
    "long number": ('{"type":"settings","x":' + "9" * 5000 + "}", 1007),
    "unknown type": ('{"type":"dance"}', None),
    "type of a wrong type": ('{"type":["join"]}', None),
    "no type": ("{}", None),
    "text of a wrong type": ('{"type":"text","text":7}', None),
    "no text": ('{"type":"text"}', None),
    "payload of a wrong type": ('{"type":"text","payload":[1]}', None),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_answered_by_an_error(name: str) -> None:
    """LIRA-46: JSON that is none closes with 1007, all else is survived."""
    message, code = GARBAGE[name]

    async def main() -> None:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.join(simulator)
            await client.send(message)
            assert (await client.until("error", 5)).fields["code"] == "INVALID_MESSAGE"
            if code is None:
                await client.send({"type": "text", "text": "still there?"})
                await client.until("ai_response_end")
            else:
                closed = await client.until_closed()
                assert closed.rcvd is not None
                assert closed.rcvd.code == code

    run_virtual(main())


@pytest.mark.parametrize("depth", [30, 100, 500, 940, 960, 980, 1000])
def test_settings_of_any_depth_are_answered_or_refused(depth: int) -> None:
    """LIRA-46: what can just be parsed may be too deep to be written again."""

    async def main() -> None:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.join(simulator)
            await client.send('{"type":"settings","x":' + "[" * depth + "]" * depth + "}")
            answer = await client.next()
            assert answer.kind == ("settings_updated" if depth == 30 else "error")

    run_virtual(main())


def test_half_a_surrogate_pair_is_survived() -> None:
    async def main() -> None:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.join(simulator)
            await client.send(json.dumps({"type": "text", "text": "\ud800!"}))
            assert (await client.until("ai_response")).fields["text"] == "?!"

    run_virtual(main())
