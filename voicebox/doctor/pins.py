"""The light shows itself, and the button is pressed."""

import asyncio
from collections.abc import AsyncIterator

from voicebox import parts
from voicebox.buttons import Button, ButtonOptions
from voicebox.core.events import ButtonPressed, Event
from voicebox.core.scenes import Scene
from voicebox.doctor.base import Case, Finding, left_out, well, wrong
from voicebox.errors import DeviceError
from voicebox.settings import Settings

WALK = (Scene.LISTENING, Scene.THINKING, Scene.SPEAKING, Scene.OFFLINE)
EACH = 1.2
"""Seconds for each scene."""
PRESSING = 15.0
"""Seconds for somebody to press the button."""


async def check(case: Case) -> AsyncIterator[Finding]:
    if case.settings is None:
        yield left_out("the settings are wrong")
        return
    if case.status is not None:
        yield left_out("the running box holds the pins", "voicebox light test and voicebox button test ask it")
        return
    yield await _light(case, case.settings)
    if case.settings.button.pin is None:
        yield left_out("no button is set (button.pin)")
    else:
        yield await _button(case, case.settings, case.settings.button.pin)


async def _light(case: Case, settings: Settings) -> Finding:
    backend = settings.lights.backend
    if backend in ("none", "terminal"):
        return left_out(f"the light is {backend} (lights.backend)")
    try:
        light = parts.light_of(settings, asyncio.get_running_loop())
    except DeviceError as error:
        return wrong(
            f"no light: {error}", 'lights.backend = "none" if there is none', settings={"lights.backend": "none"}
        )
    try:
        case.owner.told("The light now shows: listening, thinking, speaking, no network.")
        for scene in WALK:
            light.show(scene)
            await asyncio.sleep(EACH)
    finally:
        light.close()
    if await case.owner.asked("Did you see it?") is False:
        return wrong(
            "the light was not seen", "is it the right pin (lights.led), and the right way round (lights.active_high)?"
        )
    return well(f"the light ({backend}) can be had, and was shown {len(WALK)} scenes")


async def _button(case: Case, settings: Settings, pin: int) -> Finding:
    wanted, pressed = settings.button, asyncio.Event()

    def dispatch(event: Event) -> None:
        if isinstance(event, ButtonPressed):
            pressed.set()

    try:
        options = ButtonOptions(pin, wanted.pull_up)
        button = Button(options, position=lambda: 0, dispatch=dispatch, loop=asyncio.get_running_loop())
    except DeviceError as error:
        return wrong(f"no button: {error}", "button.pin = false if there is none", settings={"button.pin": False})
    try:
        if button.is_down:
            return wrong(
                f"the button on GPIO{pin} is down, though nobody presses it",
                "is it the right pin? does it go to ground (button.pull_up)?",
            )
        if not case.owner.present:
            return well(f"the button's pin GPIO{pin} can be had, and nobody presses it")
        case.owner.told(f"Please press the button within {PRESSING:.0f} seconds.")
        async with asyncio.timeout(PRESSING):
            await pressed.wait()
    except TimeoutError:
        return wrong(
            f"nobody pressed, or the button is not on GPIO{pin}", "which pin is it? button.pin; from the pin to ground"
        )
    finally:
        button.close()
    return well(f"the button on GPIO{pin} works")
