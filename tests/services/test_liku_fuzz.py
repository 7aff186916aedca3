"""LIKU, without I/O: whatever is sent to it, in whatever order (COM-10)."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.services.liku_kit import (
    CANARIES,
    DATA,
    EMAIL,
    NOW,
    PASSWORD,
    TOKEN,
    arrive,
    begin,
    connected,
    feed,
    only,
    request,
    says,
    seconds,
    service,
    spoken,
    understood,
    written,
)
from voicebox.core.events import Event, Interrupted, ReplyAudio, ReplyDone, ReplyStarted
from voicebox.errors import AuthError
from voicebox.services._responses import Responses
from voicebox.services.base import Dial, Effect, HttpAnswer, HttpRequest, Later, Remember, Send, Verdict
from voicebox.services.liku import Service
from voicebox.wire.liku import SERVER_MESSAGES, first_frame, read_token, unwrapped, without_markers

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=8)
    | st.sampled_from([10**4000, 1e308, "\ud800", *CANARIES, "[[X]]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("text", "message_id", "response_id", "status", "conversation_id", "type", "data", "payload", "TYPE", TOKEN)


@st.composite
def odd_messages(draw: st.DrawFn) -> str:
    """LIKU's grammar with anything in any field."""
    kind = draw(st.sampled_from([*SERVER_MESSAGES, "unknown", DATA]))
    fields: dict[str, Any] = draw(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5))
    envelope = draw(st.sampled_from(["", "data", "payload"]))
    return json.dumps(({envelope: fields} if envelope else fields) | {"type": kind})


garbage = st.sampled_from(['{"a":' * 900 + "1" + "}" * 900, "[" * 9_999, '{"type":1,"type":2}', "\ufeff{}", *CANARIES])
sensible = st.one_of(
    st.builds(understood, st.sampled_from(["a", "b", " "]), st.sampled_from(["", "u1", "u2", "u3"])),
    st.builds(
        spoken, st.sampled_from(["a", "b"]), st.sampled_from(["", "a1", "a2"]), st.sampled_from(["", "r1", "r2"])
    ),
    st.builds(written, st.sampled_from(["a", "b", TOKEN]), st.sampled_from(["", "a1", "a2"])),
    st.just(says("news")),
)
frames = st.one_of(sensible, odd_messages(), garbage, st.text(max_size=20), st.binary(max_size=9))


def encodable(effect: Effect) -> bool:
    """What goes out, or into a log, can be written there."""
    text = effect.message if isinstance(effect, Send) else repr(effect)
    return isinstance(text, bytes) or text.encode().decode() == text


@settings(max_examples=300, deadline=None)
@given(st.lists(frames, max_size=15), st.sampled_from([1000, 1006, 1008, 4000, 4999]))
def test_nothing_received_raises_or_tells_a_secret(messages: list[str | bytes], code: int) -> None:
    """COM-02, COM-10, LIKU-26, LIKU-27, LIKU-29, LIKU-48"""
    adapter = connected()
    effects = feed(adapter, *messages)
    for later in only(Later, effects):
        effects += adapter.later(later.key)
    effects += [*adapter.audio(seconds(1)), *adapter.cancel(1), *adapter.audio_stop(), *adapter.goodbye()]
    assert all(isinstance(effect, Event | Send | Later) for effect in effects)
    assert all(map(encodable, effects))
    shown = repr(effects) + repr(adapter.closed(code, " ".join(CANARIES))) + repr(adapter.afterwards())
    assert not [canary for canary in CANARIES if canary in shown]
    assert all(len(effect.pcm) % 2 == 0 and effect.pcm for effect in only(ReplyAudio, effects))


answers = st.builds(
    HttpAnswer,
    st.sampled_from([0, 200, 201, 302, 400, 401, 403, 404, 429, 500]),
    st.one_of(
        st.sampled_from([json.dumps({"token_key": TOKEN}), json.dumps({"detail": " ".join(CANARIES)}), DATA, ""]),
        json_values.map(json.dumps),
        st.text(max_size=20),
    ),
    st.sampled_from([{}, {"Retry-After": "3"}, {"Retry-After": TOKEN}]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(answers, max_size=12), st.booleans())
def test_whatever_is_answered_it_ends_soon_and_tells_no_secret(given_answers: list[HttpAnswer], kept: bool) -> None:
    """LIKU-03, LIKU-11, LIKU-12, LIKU-13, LIKU-48: at most two logins and two inits to a dial"""
    adapter = service()
    step, effects = begin(adapter, {"liku_token": TOKEN} if kept else None)
    said, asked = list(effects), 0
    for answer in [*given_answers, *[HttpAnswer(401)] * 4]:
        if not isinstance(step, HttpRequest):
            break
        asked += 1
        step, effects = adapter.answered(step, answer)
        said += effects
    assert isinstance(step, Dial | Verdict)
    assert asked <= 4
    assert all(isinstance(effect, Event | Remember) for effect in said)
    known = [EMAIL, PASSWORD, *([TOKEN] if kept else [])]
    assert not [canary for canary in known if canary in f"{step!r} {step} {said!r}"]


class _Listener:
    """What somebody at the speaker knows: which replies are dead, and whether sound may be believed."""

    def __init__(self) -> None:
        self.floor = self.newest = 0
        self.dead = False
        self.done: set[int] = set()

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case ReplyStarted(reply_id=reply_id):
                    assert reply_id == self.newest + 1, "ids rise one by one"
                    self.newest, self.dead = reply_id, False
                case ReplyAudio(reply_id=reply_id):
                    assert not self.dead, "late sound of a dead reply"
                    assert reply_id == self.newest > self.floor
                case ReplyDone(reply_id=reply_id):
                    assert reply_id == self.newest > self.floor
                    assert reply_id not in self.done, "published exactly once"
                    self.done.add(reply_id)
                case Interrupted(reply_id=reply_id):
                    assert reply_id == self.newest > self.floor
                    self.floor = reply_id
                case _:
                    pass


actions = st.one_of(
    sensible,
    st.binary(min_size=2, max_size=4),
    st.just(bytes(96_000)),
    st.sampled_from(["cancel", "gap", "talk", "redial"]),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(actions, max_size=40))
def test_nothing_of_a_dead_reply_is_heard_until_something_new_begins(story: list[str | bytes]) -> None:
    """LIKU-31, LIKU-32; ids rise across connections"""
    adapter, listener = connected(), _Listener()
    for action in story:
        listener.take(_act(adapter, action))
        if action == "cancel":
            listener.floor = listener.newest


def _act(adapter: Service, action: str | bytes) -> list[Effect]:
    if action == "cancel":
        return list(adapter.cancel(1))
    if action == "gap":
        return list(adapter.later("gap"))
    if action == "talk":
        return list(adapter.audio(seconds(1)))
    if action == "redial":
        adapter.closed(1006, "")
        adapter.afterwards()
        arrive(adapter)
        adapter.opened()
        adapter.later("grace")
        return list(adapter.audio_start())
    return list(adapter.received(action))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=2, max_size=4), max_size=5), st.integers(1, 30))
def test_dead_sound_stays_dead_however_much_of_it_comes(sound: list[bytes], rounds: int) -> None:
    """LIKU-31"""
    responses = Responses()
    responses.sound(b"\0\0")
    responses.cancelled()
    for _ in range(rounds):
        assert [effect for pcm in sound for effect in responses.sound(pcm)] == []
        assert responses.end() == []


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), json_values.map(json.dumps)))
def test_what_is_read_of_any_text_can_be_sent(text: str) -> None:
    """COM-10"""
    assert first_frame(unwrapped(text) or text).encode()
    assert read_token(text).isascii()
    assert without_markers(without_markers(text)) == without_markers(text) or "[[" in text


def test_a_thousand_answers_to_one_account_end_in_silence() -> None:
    """LIKU-04: a refused account is not hammered on"""
    adapter, logins = service(), 0
    for second in range(1000):
        try:
            step, _ = begin(adapter, now=NOW + second / 10)
        except AuthError:
            continue
        logins += 1
        adapter.answered(request(step), HttpAnswer(401))
    assert logins == 1
