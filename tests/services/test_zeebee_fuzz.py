"""Whatever ZeebeeAI sends: no exception, no secret told, nothing of a dead reply heard, nobody left waiting."""

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.services.zeebee_kit import END, KEY, START, USER, only, redial, reply, says, sent, speak, welcomed
from voicebox.audio.decode import Decoder
from voicebox.core.events import Event, ReplyDone, ReplyStarted
from voicebox.services.base import Effect, Hangup, Later, Remember, Send, Sound
from voicebox.services.zeebee import Service
from voicebox.wire.zeebee import ALIASES, SERVER_MESSAGES

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([KEY, USER, "AA=="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["text", "message", "data", "payload", "chunk_index", "total_chunks", "conversation_id", "user_id", "ping_id"]
FIELDS += ["status", "time_remaining", "reconnect_required", "type"]


@st.composite
def odd_messages(draw: st.DrawFn) -> str:
    fields: dict[str, Any] = draw(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5))
    return json.dumps(fields | {"type": draw(st.sampled_from([*SERVER_MESSAGES, *ALIASES, "unknown"]))})


chunks = st.builds(
    lambda data, index, total: says("audio_chunk", data=data, chunk_index=index, total_chunks=total),
    st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode()) | st.text(max_size=9),
    st.none() | st.integers(-2, 6),
    st.none() | st.integers(-1, 6),
)
sensible = st.sampled_from([*reply(), START, END, says("tts_error"), says("error", message="transcribe audio")])
frames = sensible | chunks | odd_messages() | st.text(max_size=20) | st.binary(max_size=9)
acts = frames | st.sampled_from(["SPEAK", "CUT", "answer", "quiet", "leave"])


def act(adapter: Service, action: str | bytes) -> list[Effect]:
    if action == "SPEAK":
        return speak(adapter, bytes(9_600))
    if action == "CUT":
        return list(adapter.cancel(adapter._flight.newest))
    if action in ("answer", "quiet", "leave"):
        return list(adapter.later(str(action)))
    return list(adapter.received(action))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["documented", "python-sdk"]), st.lists(acts, max_size=25))
def test_nothing_raises_and_no_secret_is_told(dialect: str, story: list[str | bytes]) -> None:
    """ZBE-14, ZBE-65, COM-02, COM-10"""
    adapter = welcomed(dialect=dialect, keep_conversation=True)
    effects = [effect for action in story for effect in act(adapter, action)]
    allowed = Event | Send | Sound | Later | Hangup | Remember
    assert all(isinstance(effect, allowed) for effect in effects)
    everything = repr(effects) + repr(adapter.closed(4401, f"{KEY} {USER}"))
    assert KEY not in everything
    assert USER not in everything
    assert json.dumps(sent(effects))
    decoder = Decoder()
    assert all(len(decoder(sound)) % 2 == 0 for sound in only(Sound, effects))


@settings(max_examples=300, deadline=None)
@given(st.lists(sensible | chunks | st.sampled_from(["SPEAK", "CUT", "answer"]), max_size=40))
def test_a_cut_reply_stays_silent_and_a_live_one_ends(story: list[str]) -> None:
    """ZBE-58, ZBE-59, ZBE-60"""
    adapter = welcomed()
    started: list[int] = []
    done: set[int] = set()
    floor = 0
    for action in story:
        floor = adapter._flight.newest if action == "CUT" else floor
        for effect in act(adapter, action):
            match effect:
                case ReplyStarted(reply_id=reply_id):
                    started.append(reply_id)
                case Sound(reply_id=reply_id):
                    assert reply_id == started[-1] > floor, "sound of a dead reply"
                    assert reply_id not in done, "sound behind the end"
                case ReplyDone(reply_id=reply_id):
                    done.add(reply_id)
                case _:
                    pass
    assert started == list(range(1, len(started) + 1))
    for _ in range(4):  # one in flight and those that wait
        done |= {effect.reply_id for effect in only(ReplyDone, adapter.later("answer"))}
    assert not adapter._flight.busy
    assert {reply_id for reply_id in started if reply_id > floor} <= done


def test_the_next_connection_is_as_good_as_new() -> None:
    adapter = welcomed()
    for action in ("SPEAK", START, "CUT"):
        act(adapter, action)
    redial(adapter)
    adapter.opened()
    adapter.received(says("init_ack"))
    assert len(sent(speak(adapter))) == 1
