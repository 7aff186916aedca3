"""What the control socket can do with a running box, one function per request; and what it tells subscribers."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from voicebox import __version__, advice
from voicebox.box import TOO_MANY, Step
from voicebox.control import Action, Answer, Request
from voicebox.core.events import ButtonPressed, ButtonTapped, HangUp, TextAsked
from voicebox.core.scenes import Scene
from voicebox.core.state import Phase
from voicebox.errors import VoiceboxError
from voicebox.lights.none import NullLight
from voicebox.redact import remember
from voicebox.wire import parse_object

if TYPE_CHECKING:
    from voicebox.app import App

LONGEST_TEXT = 4_000


def actions(app: "App") -> dict[str, Action]:
    """Requests by name; docs/control.md describes them."""
    return {
        "status": lambda request: _status(app, request),
        "say": lambda request: _say(app, request),
        "session.set": lambda request: _set(app, request),
        "conversation.new": lambda request: _new(app, request),
        "reload": lambda request: _reload(app, request),
        "secret.renew": lambda request: _renew(app, request),
        "volume": lambda request: _volume(app, request),
        "light": lambda request: _light(app, request),
        "mute": lambda _: _mute(app, muted=True),
        "unmute": lambda _: _mute(app, muted=False),
        "talk": lambda _: _talk(app),
        "stop": lambda _: _stop(app),
        "session.restart": lambda _: _restart(app),
        "wake": lambda _: _wake(app),
    }


LONGEST_LIGHT = 600.0
"""Seconds for which a scene may be asked for: as long as an update takes."""


TRUSTED = frozenset({"reload", "secret.renew"})
"""What only root may ask of a box that is not theirs."""


def news(step: Step) -> dict[str, Any] | None:
    """One step for subscribers: the event, and what has become of the box; None of what happens too often."""
    event = step.event
    if isinstance(event, TOO_MANY):
        return None
    return {
        **asdict(event),
        "event": type(event).__name__,
        "phase": step.after.phase,
        "fault": step.after.fault,
    }


def glance(app: "App") -> Answer:
    """What goes with each reading of the meters."""
    state = app.box.state
    return {
        "phase": state.phase,
        "fault": state.fault,
        "muted": state.muted,
        "scene": app.light.shown,
        "sending": app.light.is_sending,
        "queued_s": round(app.playback.buffered, 1),
    }


def _wake(app: "App") -> Answer:
    """How the wake word did this week."""
    wake = app.settings.wake
    phrases = [phrase.model_dump() for phrase in wake.phrases] if app.listener else []
    return {"phrases": phrases, "days": advice.DAYS, "floor": advice.FLOOR, "counts": app.advice.totals()}


def _status(app: "App", _request: Request) -> Answer:
    state, session = app.box.state, app.session
    left = app.usage.left
    return {
        "status": app.status(state),
        "version": __version__,
        "service": app.settings.service,
        "phase": state.phase,
        "link": state.link,
        "muted": state.muted,
        "fault": state.fault,
        "trouble": list(_trouble(app)),
        "connected": session.connected,
        "connect_ms": round(session.connect_seconds * 1000, 1),
        "rtt_ms": None if session.rtt is None else round(session.rtt * 1000, 1),
        "minutes_today": round(app.usage.used / 60, 1),
        "minutes_left": None if left == float("inf") else round(left / 60, 1),
        "latency_ms": dict(app.latency.marks),
        "uplink": {"sent": app.uplink.counts.sent, "dropped": app.uplink.counts.dropped},
        "volume": app.volume.level,
        "lead_ms": round(app.playback.lead * 1000),
        "underruns": app.backend.speaker.underruns,
        "echo": _echo(app),
        "up_s": round(app.recent.age),
        "recent": app.recent.told(),
    }


def _trouble(app: "App") -> Iterator[str]:
    """All that is not well, in words."""
    if app.box.state.fault is not None:
        yield str(app.box.state.fault)
    if app.flatline.silent:
        yield "the microphone delivers only silence"
    if app.refused:
        yield f"the settings are wrong, running on the last good ones: {app.refused}"


def _echo(app: "App") -> Answer | None:
    echo, listener = app.echo, app.listener
    if echo is None:
        return None
    return {
        "cancelled": echo.converged,
        "attenuation_db": round(echo.attenuation, 1),
        "delay_ms": None if echo.delay is None else round(echo.delay * 1000, 1),
        "drift_ppm": round(echo.drift, 1),
        "own_wake_words": listener.ours if listener else 0,
    }


def _say(app: "App", request: Request) -> Answer:
    text = request.get("text")
    if not isinstance(text, str) or not text.strip():
        raise VoiceboxError('say needs "text", and it must not be empty')
    if len(text) > LONGEST_TEXT:
        raise VoiceboxError(f"the text is too long: {len(text)} characters, at most {LONGEST_TEXT}")
    if not app.adapter.capabilities.text_input:
        raise VoiceboxError(f"unsupported: {app.adapter.capabilities.name} takes no written turns")
    app.box.dispatch(TextAsked(text.strip()))
    return {}


def _set(app: "App", request: Request) -> Answer:
    values = request.get("settings")
    if not isinstance(values, dict) or not values:
        raise VoiceboxError('session.set needs "settings", an object with at least one key')
    if parse_object(json.dumps(values)) is None:
        raise VoiceboxError("these settings are nested too deep: no service would read them")
    if not app.session.connected:
        raise VoiceboxError("no session is open: settings of a session can be changed while somebody talks to it")
    app.session.update(values)
    return {}


async def _volume(app: "App", request: Request) -> Answer:
    level, by = request.get("level"), request.get("by")
    if level is not None and by is not None:
        raise VoiceboxError('volume takes "level" or "by", not both')
    for name, number in (("level", level), ("by", by)):
        if number is not None and type(number) is not int:
            raise VoiceboxError(f'"{name}" of volume must be a whole number')
    if level is not None:
        await app.volume.set(level)
    elif by is not None:
        await app.volume.change(by)
    return {"volume": app.volume.level, "control": app.volume.control}


def _mute(app: "App", *, muted: bool) -> Answer:
    app.mute.set(muted)
    return {}


def _talk(app: "App") -> Answer:
    """As a tap of the button."""
    at = app.backend.position
    app.box.dispatch(ButtonPressed(at))
    app.box.dispatch(ButtonTapped(at))
    return {}


def _stop(app: "App") -> Answer:
    app.box.dispatch(HangUp())
    app.sounds.hush()
    return {}


def _restart(app: "App") -> Answer:
    """Hang up, also a connection that is only kept warm: the next thing said opens a new session."""
    _stop(app)
    app.session.leave()
    return {}


def _new(app: "App", _request: Request) -> Answer:
    app.session.new_conversation()
    return {}


async def _reload(app: "App", _request: Request) -> Answer:
    if app.reloader is None:
        raise VoiceboxError("this box cannot reload its settings: restart it")
    return {"said": await app.reloader.reload()}


def _renew(app: "App", request: Request) -> Answer:
    """A secret that root has stored anew; "" has been removed. The next dial uses it."""
    name, value = request.get("name"), request.get("value")
    if not isinstance(name, str) or not isinstance(value, str):
        raise VoiceboxError('secret.renew needs "name" and "value", both text')
    if value:
        remember(value)
    app.settings.credentials.renewed[name] = value
    return {"in_use": name in app.settings.all_secrets}


def _light(app: "App", request: Request) -> Answer:
    """Show a scene for a while, or no more (null)."""
    name, seconds = request.get("scene"), request.get("seconds", 3.0)
    if isinstance(app.light.light, NullLight):
        raise VoiceboxError('the box has no light: lights.backend is "none", or its light cannot be had (see the log)')
    if name is None:
        app.light.ask(None)
        return {}
    if name not in list(Scene):
        raise VoiceboxError(f"there is no such scene; choose one of {', '.join(Scene)}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_LIGHT:
        raise VoiceboxError(f'light needs "seconds" above 0, at most {LONGEST_LIGHT:.0f}')
    if app.box.state.phase is not Phase.IDLE:
        raise VoiceboxError(f"the box is {app.box.state.phase}: its light is needed; try again when it is idle")
    app.light.ask(Scene(name), seconds)
    return {}
