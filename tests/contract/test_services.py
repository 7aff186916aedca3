"""What every service promises (voicebox/services/base.py), held against each one there is, found by name."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import voicebox.services
from voicebox.core.events import Event, ReplyStarted, SessionEnded
from voicebox.errors import AuthError, ConfigError
from voicebox.services.base import (
    Adapter,
    Capabilities,
    Dial,
    Effect,
    Hangup,
    HttpAnswer,
    HttpRequest,
    Later,
    Remember,
    Send,
    ServiceSettings,
    Sound,
    Verdict,
    discover,
)

NOW = 1_700_000_000.0
SERVICES = discover()
CANARY = "oak_canary-0123456789"


@pytest.fixture(params=sorted(SERVICES))
def module(request: pytest.FixtureRequest) -> ModuleType:
    return SERVICES[request.param]


def complete(module: ModuleType, **changes: Any) -> Adapter:
    """An adapter with everything set that has no default of use: texts that are empty by default get one."""
    fields = module.Settings.model_fields
    empty = {name: "something" for name, field in fields.items() if field.default == ""}
    adapter: Adapter = module.Service(module.Settings(**(empty | changes)))
    return adapter


def credentials(module: ModuleType) -> dict[str, str]:
    """All it needs; of those of which it needs one, the first."""
    return dict.fromkeys(module.Settings.SECRETS + module.Settings.SECRETS_ANY[:1], CANARY)


ANSWER = HttpAnswer(200, '{"token_key":"canary-of-the-service"}')
"""What any of the services can go on with."""


def arrive(adapter: Adapter, secrets: dict[str, str]) -> tuple[Dial, list[Effect]]:
    """Dialled, after the HTTP exchanges that the service wants before; and all that the adapter said."""
    step, said = adapter.dial(secrets, NOW)
    effects = list(said)
    while isinstance(step, HttpRequest):
        assert CANARY not in f"{step!r} {step}"
        step, said = adapter.answered(step, ANSWER)
        effects += said
    assert isinstance(step, Dial)
    return step, effects


def dialled(module: ModuleType) -> Adapter:
    adapter = complete(module)
    arrive(adapter, credentials(module))
    return adapter


def test_it_has_what_the_rest_looks_for(module: ModuleType) -> None:
    assert issubclass(module.Settings, ServiceSettings)
    assert all(field.description for field in module.Settings.model_fields.values())
    assert module.__doc__


def test_its_capabilities_make_sense(module: ModuleType) -> None:
    capabilities = module.Service.capabilities
    assert isinstance(capabilities, Capabilities)
    assert capabilities.name == module.__name__.rpartition(".")[2]
    assert capabilities.uplink_rate in (16_000, 24_000, 48_000)
    assert 0.02 <= capabilities.uplink_chunk / capabilities.uplink_rate <= 1.0
    assert 1 <= capabilities.ping_interval <= 60
    assert 1 <= capabilities.ready_timeout <= 30
    assert 2**16 <= capabilities.max_message <= 2**24


def test_without_credentials_it_says_which_are_missing(module: ModuleType) -> None:
    for missing in credentials(module):
        some = {name: value for name, value in credentials(module).items() if name != missing}
        with pytest.raises(AuthError, match=missing) as error:
            complete(module).dial(some, NOW)
        assert CANARY not in str(error.value)


def test_without_settings_it_dials_or_names_the_one_that_is_missing(module: ModuleType) -> None:
    problem = _problem(module.Service(module.Settings()), credentials(module))
    assert not problem or any(f".{name}" in problem for name in module.Settings.model_fields)


def _problem(adapter: Adapter, secrets: dict[str, str]) -> str:
    try:
        adapter.dial(secrets, NOW)
    except ConfigError as error:
        return str(error)
    return ""


def test_com_02_the_address_hides_its_secrets(module: ModuleType) -> None:
    dial, effects = arrive(complete(module), credentials(module))
    assert CANARY not in f"{dial!r} {dial} {effects!r}"
    assert "canary-of-the-service" not in repr(effects)


@pytest.mark.parametrize(
    ("url", "allow_plain", "allowed"),
    [
        ("wss://x.example/ws", False, True),
        ("ws://127.0.0.1:8080/ws", True, True),
        ("ws://[::1]:8080/ws", True, True),
        ("ws://localhost/ws", True, True),
        ("ws://127.0.0.1:8080/ws", False, False),
        ("ws://x.example/ws", True, False),
        ("ws://127.0.0.1.x.example/ws", True, False),
        ("ws://0.0.0.0/ws", True, False),
        ("ws://192.168.1.5/ws", True, False),
        ("https://x.example/ws", True, False),
        ("WSS://", True, False),
    ],
)
def test_com_01_plain_text_never_leaves_this_machine(
    module: ModuleType, url: str, allow_plain: bool, allowed: bool
) -> None:
    adapter = complete(module, url=url, allow_plain=allow_plain)
    if allowed:
        assert arrive(adapter, credentials(module))[0].url.startswith(url)
    else:
        with pytest.raises(ConfigError, match=r"\.url"):
            adapter.dial(credentials(module), NOW)


def test_a_new_connection_begins_as_the_first_did(module: ModuleType) -> None:
    adapter = dialled(module)
    first = adapter.opened()
    adapter.audio_start()
    adapter.received('{"type":"error"}')
    adapter.closed(1006, "")
    arrive(adapter, credentials(module))
    assert list(map(_lasting, adapter.opened())) == list(map(_lasting, first))


def _lasting(effect: object) -> object:
    """An effect without what marks each message as another one."""
    if not isinstance(effect, Send) or isinstance(effect.message, bytes):
        return effect
    return {key: value for key, value in json.loads(effect.message).items() if key not in ("message_id", "timestamp")}


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40) | st.binary(max_size=40), max_size=10))
def test_nothing_received_raises(messages: list[str | bytes]) -> None:
    """COM-10"""
    for module in SERVICES.values():
        adapter = dialled(module)
        for message in messages:
            for effect in adapter.received(message):
                assert isinstance(effect, Event | Send | Sound | Remember | Later | Hangup)


def test_reply_ids_rise_across_connections(module: ModuleType) -> None:
    """For services whose sound is binary; others bring their own tests."""
    adapter, ids = complete(module), []
    for _ in range(3):
        arrive(adapter, credentials(module))
        adapter.opened()
        ids += [e.reply_id for e in adapter.received(b"\0\0") if isinstance(e, ReplyStarted)]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1008, 1011, 1012, 3000, 4000, 4401, 4999])
def test_com_05_every_close_has_a_verdict(module: ModuleType, code: int) -> None:
    verdict = dialled(module).closed(code, "because")
    assert isinstance(verdict, Verdict)
    assert 0 <= verdict.retry_after <= 3600
    if not verdict.retry:
        assert any(isinstance(effect, SessionEnded) for effect in verdict.effects), "nobody would know why"


def test_com_05_a_normal_close_is_not_redialled(module: ModuleType) -> None:
    assert not dialled(module).closed(1000, "").retry


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500, 503])
def test_com_05_every_refusal_has_a_verdict(module: ModuleType, status: int) -> None:
    verdict = dialled(module).refused(status, {"retry-after": "1000000000000"})
    assert 0 <= verdict.retry_after <= 3600
    if not verdict.retry:
        assert any(isinstance(effect, SessionEnded) for effect in verdict.effects), "nobody would know why"


def test_com_05_refused_credentials_are_not_tried_again(module: ModuleType) -> None:
    adapter = dialled(module)
    assert not adapter.refused(401, {}).retry
    with pytest.raises(AuthError):
        adapter.dial(credentials(module), NOW)


def test_text_is_sent_or_refused_as_promised(module: ModuleType) -> None:
    adapter = dialled(module)
    if module.Service.capabilities.text_input:
        adapter.text("hello")
    else:
        with pytest.raises(ConfigError):
            adapter.text("hello")


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Path]:
    """A folder whose modules count as services."""
    known = set(sys.modules)
    voicebox.services.__path__.append(str(tmp_path))
    yield tmp_path
    voicebox.services.__path__.remove(str(tmp_path))
    for name in set(sys.modules) - known:
        if name.startswith("voicebox.services."):
            del sys.modules[name]
            delattr(voicebox.services, name.rpartition(".")[2])


def test_a_new_service_is_one_new_file(beside: Path) -> None:
    (beside / "toy.py").write_text('"""A toy."""\nNAME = "toy"\n', "utf-8")
    (beside / "_shared.py").write_text("", "utf-8")
    found = discover()
    assert found.keys() - SERVICES.keys() == {"toy"}
    assert found["toy"].NAME == "toy"
    assert discover()["lira"] is SERVICES["lira"]
