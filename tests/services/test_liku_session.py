"""LIKU, wholly: a session against the simulated service, over real HTTP and a real WebSocket, in virtual time."""

import asyncio
import gc
import json
import logging
from pathlib import Path

import pytest

from tests.services.liku_line import BLOCK_BYTES, Line, line, with_liku
from tests.simulator.client import QUESTION
from tests.support.session import now
from voicebox.core.events import (
    Category,
    Interrupted,
    ReplyAudio,
    ReplyDone,
    ReplyText,
    ServiceError,
    SessionEnded,
    SessionLost,
    SessionReady,
    Transcript,
)
from voicebox.core.state import Window
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "keepsakes.json"


# --- a conversation ------------------------------------------------------------------------------------------------


def test_liku_30_a_question_is_understood_and_answered_whole(store: Path) -> None:
    """LIKU-16, LIKU-17, LIKU-20, LIKU-21, LIKU-24, LIKU-25, LIKU-28, LIKU-32"""

    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        await there.ask()
        await there.until(ReplyDone)
        await asyncio.sleep(5)
        connection = simulator.connections[0]
        received = [noted for noted in connection.messages if noted.direction == "received"]
        assert received[0].text is not None
        assert json.loads(received[0].text).keys() == {"connection_data"}
        assert {noted.size for noted in received[1:]} == {4096}
        (understood,) = there.of(Transcript)
        assert [event.text for event in there.of(ReplyText)] == [understood.text]
        assert there.heard(1) == bytes(connection.sent_pcm[1])
        assert there.of(ReplyDone) == [ReplyDone(1)]
        assert [*there.of(ServiceError), *there.of(Interrupted)] == []

    with_liku(act, store)


def test_liku_30_with_the_microphone_closed_on_the_last_word_the_turn_ends_all_the_same(store: Path) -> None:
    """As push-to-talk does."""

    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        there.listen()
        await there.hear(QUESTION)
        there.uplink.set_window(Window(0, until=there._position))
        await there.until(ReplyDone)
        assert len(simulator.connections[0].received_pcm) >= len(QUESTION) // BLOCK_BYTES * BLOCK_BYTES + 32_000

    with_liku(act, store)


def test_liku_31_late_sound_of_a_reply_that_was_cut_here_is_never_heard(store: Path) -> None:
    """A2.2 i"""

    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        await there.ask()
        there.deaf()
        await there.until(ReplyAudio, 3)
        there.session.cancel(1)
        cut = len(there.of(ReplyAudio))
        await there.ask()
        await there.until(ReplyAudio, cut + 1)
        await there.until(ReplyDone)
        connection = simulator.connections[0]
        assert {event.reply_id for event in there.of(ReplyAudio)[cut:]} == {2}
        assert bytes(connection.late_pcm[1])
        assert there.heard(2).startswith(bytes(connection.sent_pcm[2])[:48_000])
        assert there.adapter.dropped_bytes > 0

    with_liku(act, store, brain="talker", faults=["late_audio"])


def test_talking_over_a_reply_interrupts_it_where_the_box_hears_while_it_speaks(store: Path) -> None:
    """A2.2 i; D5: the microphone goes on streaming"""

    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        await there.ask()
        await there.until(ReplyAudio, 3)
        await there.hear(QUESTION + bytes(32_000))
        await there.until(Interrupted)
        await there.until(ReplyAudio, len(there.of(ReplyAudio)) + 3)
        assert there.of(Interrupted) == [Interrupted(1)]
        kinds = [event for event in there.events if isinstance(event, ReplyAudio | Interrupted)]
        after = kinds[kinds.index(Interrupted(1)) + 1 :]
        assert {event.reply_id for event in after} == {2}
        assert there.heard(2) == bytes(simulator.connections[0].sent_pcm[2])[: len(there.heard(2))]

    with_liku(act, store, brain="talker")


@pytest.mark.parametrize("fault", ["malformed_json", "unknown_type", "odd_bytes", "empty_audio", "duplicate_text"])
def test_liku_26_liku_27_liku_29_no_oddity_of_the_service_disturbs(fault: str, store: Path) -> None:
    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        await there.ask()
        await there.until(ReplyDone)
        assert there.heard(1) == bytes(simulator.connections[0].sent_pcm[1])
        assert [event.text for event in there.of(ReplyText)] == [there.of(Transcript)[0].text]

    with_liku(act, store, faults=[fault])


def test_liku_22_partials_are_told_apart(store: Path) -> None:
    async def act(_simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        await there.ask()
        await there.until(ReplyDone)
        assert [event.final for event in there.of(Transcript)] == [False, True]

    with_liku(act, store, faults=["partials"])


def test_liku_43_a_reply_that_comes_in_bursts_is_one_reply(store: Path) -> None:
    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        await there.ask()
        await there.until(ReplyDone)
        assert there.heard(1) == bytes(simulator.connections[0].sent_pcm[1])
        assert there.of(ReplyDone) == [ReplyDone(1)]

    with_liku(act, store, faults=["slow_audio=0.9"])


# --- on the way to it ----------------------------------------------------------------------------------------------


def test_liku_02_liku_06_the_token_outlives_the_process(store: Path) -> None:
    async def main() -> list[list[str]]:
        purposes = []
        async with Simulator("liku") as simulator:
            for _ in range(2):
                async with line(simulator, store) as there:
                    there.session.open()
                    await there.until(SessionReady)
                    await there.hang_up()
                    purposes.append(there.purposes)
        return purposes

    assert run_virtual(main()) == [["login", "init-websocket"], ["init-websocket"]]


def test_liku_13_liku_49_an_expired_token_is_renewed_by_itself(store: Path) -> None:
    async def act(_simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        assert there.purposes == ["login", "init-websocket", "login again", "init-websocket again"]
        assert [*there.of(ServiceError), *there.of(SessionLost)] == []

    with_liku(act, store, faults=["token_expired"])


@pytest.mark.parametrize("fault", ["init_quoted", "init_object"])
def test_liku_34_each_form_of_the_connection_data_comes_to_work_and_is_remembered(fault: str, store: Path) -> None:
    """A2.2 a"""

    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionLost)
        await there.until(SessionReady)
        await there.ask()
        await there.until(ReplyDone)
        await there.hang_up()
        there.session.open()
        await there.until(SessionReady, 2)
        await asyncio.sleep(2)
        assert len(there.of(SessionLost)) == 1
        assert len(simulator.connections) == 3
        assert there.purposes == ["login", *["init-websocket"] * 3]

    with_liku(act, store, faults=[fault])


def test_liku_34_liku_38_refused_data_is_had_anew_once(store: Path) -> None:
    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionLost)
        await there.until(SessionReady)
        assert there.purposes == ["login", "init-websocket", "init-websocket"]
        first = [connection.messages[0].text for connection in simulator.connections]
        assert len(set(first)) == 2

    with_liku(act, store, faults=["close_4000"])


def test_1008_renews_the_login_once(store: Path) -> None:
    """A2.2 k"""

    async def act(_simulator: Simulator, there: Line) -> None:
        await there.until(SessionLost)
        await there.until(SessionReady)
        assert there.purposes == ["login", "init-websocket"] * 2

    with_liku(act, store, faults=["close_1008_at_once"])


@pytest.mark.parametrize(
    ("faults", "category", "word"),
    [
        (["unauthorized"], Category.AUTH, "liku_password"),
        (["unauthorized", "plain_errors"], Category.AUTH, "HTTP 401"),
        (["unknown_topic"], Category.CONFIG, "No such topic"),
        (["unknown_topic", "plain_errors"], Category.CONFIG, "liku.topic_id"),
    ],
)
def test_liku_04_liku_11_liku_12_liku_45_what_cannot_be_mended_here_is_told(
    faults: list[str], category: Category, word: str, store: Path
) -> None:
    async def act(_simulator: Simulator, there: Line) -> None:
        ended = await there.until(SessionEnded)
        assert (ended.category, word in ended.message) == (category, True)

    with_liku(act, store, faults=faults)


def test_liku_03_liku_45_an_invalid_login_is_told_and_tried_again_with_patience(store: Path) -> None:
    """LIKU-37"""

    async def act(_simulator: Simulator, there: Line) -> None:
        await there.until(SessionLost, 4, within=600)
        assert "invalid" in there.of(ServiceError)[0].message
        waits = [lost.retry_in for lost in there.of(SessionLost)]
        assert waits == sorted(waits)
        assert waits[-1] > 30

    with_liku(act, store, faults=["login_no_token"])


@pytest.mark.parametrize(
    ("fault", "again"), [("meeting_ends", False), ("drop_mid_reply", True), ("close_1011", True), ("close_1008", True)]
)
def test_liku_33_liku_36_liku_44_how_it_ends_decides_what_follows(fault: str, again: bool, store: Path) -> None:
    async def act(simulator: Simulator, there: Line) -> None:
        await there.until(SessionReady)
        await there.ask()
        if again:
            assert 0 < (await there.until(SessionLost)).retry_in <= 60
            await there.until(SessionReady, 2)
            assert there.purposes[-1] == "init-websocket"
            await there.ask()
            await there.until(ReplyDone, len(there.of(ReplyDone)) + 1)
        else:
            assert (await there.until(SessionEnded)).category is None
            await asyncio.sleep(300)
            assert len(simulator.connections) == 1

    with_liku(act, store, faults=[fault])


# --- after it ------------------------------------------------------------------------------------------------------


async def _converse_and_leave(there: Line) -> None:
    await there.until(SessionReady)
    await there.ask()
    await there.until(ReplyDone)
    await there.hang_up()
    await asyncio.sleep(5)


def test_liku_50_liku_52_the_transcript_is_saved_after_the_close_if_that_is_wanted(store: Path) -> None:
    async def act(simulator: Simulator, there: Line) -> None:
        await _converse_and_leave(there)
        (saved,) = simulator._setup.shared["saved"]
        assert saved["topic_id"] == "55"
        first = simulator.connections[0].messages[0].text
        assert first is not None
        assert saved["connection_data"] == json.loads(first)["connection_data"]
        assert len(saved["conversation_id"]) == 36
        assert there.purposes == ["login", "init-websocket", "save-transcript"]

    with_liku(act, store, save_transcript=True)


def test_liku_52_it_is_off_by_default(store: Path) -> None:
    async def act(simulator: Simulator, there: Line) -> None:
        await _converse_and_leave(there)
        assert "saved" not in simulator._setup.shared
        assert "save-transcript" not in there.purposes

    with_liku(act, store)


def test_liku_52_a_save_that_fails_is_tried_twice_in_all(store: Path) -> None:
    async def act(simulator: Simulator, there: Line) -> None:
        await _converse_and_leave(there)
        assert len(simulator._setup.shared["saved"]) == 1
        assert 2 <= len([purpose for purpose in there.purposes if "save" in purpose]) <= 3

    with_liku(act, store, save_transcript=True, faults=["save_refused"])


# --- for a year ----------------------------------------------------------------------------------------------------


def test_liku_40_a_hundred_sessions_leave_nothing_behind(store: Path) -> None:
    """COM-09"""

    async def act(simulator: Simulator, there: Line) -> None:
        async def cycle() -> None:
            there.session.open()
            await there.until(SessionReady, len(there.of(SessionReady)) + 1)
            await there.hang_up()
            await asyncio.sleep(1)

        await there.until(SessionReady)
        await there.hang_up()
        await cycle()
        gc.collect()
        before, tasks = len(gc.get_objects()), len(asyncio.all_tasks())
        for _ in range(100):
            await cycle()
            there.asked.clear()
            simulator.connections.clear()
        gc.collect()
        assert len(asyncio.all_tasks()) == tasks
        assert len([t for t in simulator._transports if not t.is_closing()]) == 0
        assert len(gc.get_objects()) - before < 5_000, "50 for each session would be a leak"

    with_liku(act, store)


def test_liku_48_no_secret_is_written_down_on_the_way(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    """COM-02"""
    caplog.set_level(logging.DEBUG)
    secrets: list[str] = []

    async def act(simulator: Simulator, there: Line) -> None:
        await _converse_and_leave(there)
        first = simulator.connections[0].messages[0].text
        assert first is not None
        secrets.extend([simulator.token, there.keepsakes.recall()["liku_token"], json.loads(first)["connection_data"]])
        assert not [secret for secret in secrets if secret in repr(there.events) + repr(there.asked)]

    with_liku(act, store, save_transcript=True, faults=["token_expired"])
    assert len(secrets) == 3
    assert not [secret for secret in secrets if secret in caplog.text]


def test_liku_18_the_service_is_ready_300_ms_after_the_first_frame(store: Path) -> None:
    """A2.2 b"""

    async def act(_simulator: Simulator, there: Line) -> None:
        began = now()
        await there.until(SessionReady)
        assert now() - began == pytest.approx(0.3, abs=0.1)

    with_liku(act, store)
