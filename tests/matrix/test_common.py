"""What holds for every service, seen from outside the box: its log, its status, what its control socket tells."""

import json
import logging

import pytest

from tests.matrix.witness import SERVICES, events, watch
from tests.support.bounded import run_bounded
from tests.support.house import House, living
from voicebox import remote
from voicebox.core.events import ReplyText, Transcript
from voicebox.core.state import Fault, Phase
from voicebox.redact import redact

BRIEF = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "3.0"}


def told(house: House) -> str:
    """All that subscribers and systemd were told, and what is answered to somebody who asks."""
    news = [remote.news(step) for _, step in house.steps]
    status = remote.actions(house.app)["status"]({"do": "status"})
    return json.dumps([news, status, house.systemd.told], default=str)


@pytest.mark.parametrize("service", SERVICES)
def test_com_02_14_a_conversation_in_the_log(service: str, caplog: pytest.LogCaptureFixture) -> None:
    """Secrets stand nowhere, what people say only where DEBUG is asked for."""
    caplog.set_level(logging.DEBUG)

    async def main() -> tuple[House, str]:
        async with living(service=service, brain="parrot", duplex="half", options=BRIEF) as house:
            await house.ask()
            await house.until_phase(Phase.IDLE)
            return house, told(house)

    house, everywhere = run_bounded(main())
    secrets = [secret for name, secret in house.simulator.access[1].items() if not name.endswith("_email")]
    assert secrets
    assert all(len(secret) > 20 for secret in secrets)
    written = "\n".join(record.getMessage() for record in caplog.records)
    assert not [secret for secret in secrets if secret in written + everywhere]
    said = {event.text for event in [*events(house, Transcript), *events(house, ReplyText)] if len(event.text) > 5}
    assert said
    loud = "\n".join(record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG)
    assert "listening" in loud
    assert not [text for text in said if text in loud]


@pytest.mark.parametrize("service", SERVICES)
def test_com_02_08_a_refusal_in_the_log(service: str, caplog: pytest.LogCaptureFixture) -> None:
    """It says what to store anew, and not what was stored."""
    caplog.set_level(logging.DEBUG)

    async def main() -> tuple[House, str]:
        async with living(service=service, faults=["unauthorized"], options=BRIEF) as house:
            await house.wake()
            await house.until(lambda: house.app.box.state.fault is Fault.REFUSED)
            await house.until_phase(Phase.IDLE)
            return house, told(house)

    house, everywhere = run_bounded(main())
    section, secrets = house.simulator.access
    assert section
    written = "\n".join(record.getMessage() for record in caplog.records)
    warnings = "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert any(name in warnings for name in secrets)
    assert not [
        value for name, value in secrets.items() if not name.endswith("_email") and value in written + everywhere
    ]
    assert redact(warnings) == warnings


@pytest.mark.parametrize("service", SERVICES)
def test_com_09_stopped_in_mid_reply_it_is_gone_in_2_s_with_a_goodbye(service: str) -> None:
    async def main() -> None:
        async with living(service=service) as house:
            links = watch(house)
            await house.ask()
        assert [link._socket.close_code for link in links] == [1000]  # ``living`` has waited for 2 s at most

    run_bounded(main())
