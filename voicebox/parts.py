"""What the box is made of, as the settings say: each function makes one part."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voicebox import wire
from voicebox.assets import SOUNDS
from voicebox.audio.amplifier import Amplifier
from voicebox.audio.base import CAPTURE_RATE, Backend, Speaker
from voicebox.audio.devices import check_name
from voicebox.audio.mixer import Mixer
from voicebox.audio.vad import WINDOW, Endpointer
from voicebox.core.cues import Cue
from voicebox.core.events import Source
from voicebox.core.state import Policy
from voicebox.errors import AuthError, ConfigError, DeviceError
from voicebox.hearing import GONE_MS, SOON_MS, GateFinder, SpeechFinder, UtteranceFinder
from voicebox.keepsakes import Keepsakes
from voicebox.lead import Lead
from voicebox.lights.base import Apa102, Lamp, Light, LightOptions, open_light
from voicebox.lights.lamp import BrokenLamp, NoLamp, PinLamp
from voicebox.lights.night import Dimmer, Night
from voicebox.pins import I2S, i2s_in_use
from voicebox.services.base import Adapter, Sound, discover
from voicebox.settings import SIMULATOR, Settings, pins
from voicebox.settings import warnings as settings_warnings
from voicebox.settings.schema import Night as Nights
from voicebox.sounds.library import Library
from voicebox.sounds.player import Sounds, Wanted
from voicebox.systemd import Notifier
from voicebox.uplink import RING_SECONDS, Uplink
from voicebox.volume import SOFTWARE, Volume
from voicebox.wake.base import Detector, Phrase

if TYPE_CHECKING:
    from voicebox.audio.echo import EchoCanceller
    from voicebox.audio.frontend import FrontEnd
    from voicebox.simulator import Simulator

_log = logging.getLogger(__name__)


BACKLOG = 5.0
"""Seconds that a service's limits may take for what was said while it was connecting."""


@dataclass
class Parts:
    """What tests and the demo put in place of the real thing; None: as the settings say."""

    backend: Backend | None = None
    light: Light | None = None
    executor: Executor | None = None
    notifier: Notifier | None = None
    detector: Detector | None = None
    simulator: "Simulator | None" = None  # not yet started
    environ: Mapping[str, str] | None = None
    lamp: Lamp | None = None  # the privacy lamp
    echo: "EchoCanceller | None" = None


_NOTICED_MS = GONE_MS - SOON_MS + 1000 * WINDOW // CAPTURE_RATE
"""How much later the end of speech is noticed than its beginning."""


def policy(settings: Settings, adapter: Adapter, echo: "EchoCanceller | None" = None) -> Policy:
    """What the core goes by. With ``duplex = "auto"`` the service hears the room during a reply once ``echo`` is known
    to take the reply out of it."""
    conversation, interruption = settings.conversation, settings.interruption
    full_duplex = _full_duplex(settings, cancelling=echo is not None and echo.converged)
    parrot = settings.service == SIMULATOR and settings.simulator.brain == "parrot"
    return Policy(
        full_duplex=full_duplex,
        interrupted_by=frozenset(map(Source, interruption.by)),
        duck=interruption.duck and full_duplex,
        guard=(interruption.guard_ms + _NOTICED_MS) / 1000,
        endpointing=not adapter.capabilities.streams,
        # a parrot that heard the wake word would say it, and wake the box with it if nobody knows its voice
        preroll=0 if parrot and echo is None else settings.wake.preroll_ms * CAPTURE_RATE // 1000,
        connect_timeout=conversation.connect_timeout_s,
        listen_timeout=conversation.listen_timeout_s,
        utterance_timeout=conversation.utterance_timeout_s,
        reply_timeout=conversation.reply_timeout_s,
        stall_timeout=conversation.stall_timeout_s,
        follow_up=conversation.follow_up_s,
    )


def uplink(settings: Settings) -> Uplink:
    return Uplink(uplink_seconds(settings))


def uplink_seconds(settings: Settings) -> float:
    """How much is kept of what was said: the first word until the longest wait for the service is over."""
    longest = settings.conversation.connect_timeout_s + settings.wake.preroll_ms / 1000 + BACKLOG
    return max(RING_SECONDS, longest)


def lead(settings: Settings, adapter: Adapter) -> Lead:
    """How much of a reply is gathered before it sounds: as the owner says, else as the service needs and more if the
    network does."""
    fixed = settings.playback.lead_ms
    return Lead(adapter.capabilities.lead) if fixed is None else Lead(fixed / 1000, most=fixed / 1000)


def _full_duplex(settings: Settings, *, cancelling: bool) -> bool:
    return settings.audio.duplex == "full" or (settings.audio.duplex == "auto" and cancelling)


def volume(settings: Settings, path: Path, backend: Backend) -> Volume:
    """How loud the box is, kept in the file ``path``; on the card's mixer unless the owner wants none."""
    wanted = settings.playback.mixer
    mixer = None if wanted == SOFTWARE else Mixer(wanted)
    return Volume(path, backend.speaker, mixer, lambda: backend.mixer)


def light(settings: Settings, loop: asyncio.AbstractEventLoop) -> Light:
    """The light; none at all where it cannot be had."""
    try:
        return light_of(settings, loop)
    except DeviceError as error:
        _log.warning("the box works on without its light: %s", error)
        return open_light("none", LightOptions(), loop)


def light_of(settings: Settings, loop: asyncio.AbstractEventLoop) -> Light:
    """The light. Raises DeviceError where it cannot be had."""
    wanted = settings.lights
    options = LightOptions(
        led=wanted.led,
        rgb=wanted.rgb,
        apa102=Apa102(**wanted.apa102.model_dump()),
        active_high=wanted.active_high,
        dimmer=Dimmer(wanted.brightness, _night(wanted.night)),
        tells_sending=wanted.privacy is True,
    )
    return open_light(wanted.backend, options, loop)


def privacy_lamp(settings: Settings, light: Light) -> Lamp:
    """What says that microphone audio leaves the box: an LED of its own, the light, or nothing."""
    wanted = settings.lights
    if wanted.privacy is None:
        return NoLamp()
    if wanted.privacy is True:
        return light
    try:
        return PinLamp(wanted.privacy, active_high=wanted.active_high)
    except DeviceError as error:
        without = "nothing is sent without it" if wanted.privacy_required else "audio is sent without it"
        _log.warning("the privacy lamp cannot be lit, and %s: %s", without, error)
        return BrokenLamp()


def _night(wanted: Nights | None) -> Night | None:
    def minutes(text: str) -> int:
        return int(text[:2]) * 60 + int(text[3:])

    return None if wanted is None else Night(minutes(wanted.start), minutes(wanted.end), wanted.brightness)


def backend(settings: Settings) -> Backend:
    audio, playback = settings.audio, settings.playback
    if audio.backend == "wav":
        from voicebox.audio.wavfile import WavBackend  # noqa: PLC0415  # each box needs only one of the two

        return WavBackend(audio.wav_input, audio.wav_output)
    from voicebox.audio.portaudio import PortAudioBackend  # noqa: PLC0415  # as above

    amplifier = Amplifier(
        pre_silence=playback.pre_silence_ms / 1000,
        rests=playback.keep_awake == "off",
        dither=playback.keep_awake == "dither",
    )
    return PortAudioBackend(
        audio.input,
        audio.output,
        input_channel=audio.input_channel,
        period=audio.period_ms / 1000,
        amplifier=amplifier,
    )


def sounds(settings: Settings, speaker: Speaker, loop: asyncio.AbstractEventLoop) -> Sounds:
    """The box's own sounds."""
    chosen = settings.sounds
    opening = None if chosen.listen_earcon == "auto" else chosen.listen_earcon
    library = Library(chosen.directory, SOUNDS, _decode_file, language=chosen.language, volume=chosen.volume)
    return Sounds(library, speaker.notify, loop, Wanted(chosen.earcons, opening, chosen.spoken))


def _decode_file(data: bytes, longest: float) -> bytes:
    from voicebox.audio.decode import whole_file  # noqa: PLC0415  # loaded beside the running box, in a thread

    return whole_file(data, longest)


def detector(settings: Settings) -> Detector | None:
    """The wake word engine, loaded; takes a second or more."""
    wake = settings.wake
    if not wake.enabled or not wake.phrases:
        return None
    from voicebox.wake.openwakeword import OpenWakeWord  # noqa: PLC0415  # costs 40 MB where the wake word is on

    phrases = [
        Phrase(p.model, p.threshold, p.patience, wake.playing_threshold, wake.playing_patience) for p in wake.phrases
    ]
    return OpenWakeWord(phrases, refractory=wake.refractory_s)


def front_end(settings: Settings) -> "FrontEnd | None":
    """What cleans the uplink; None where nothing is asked for or it cannot be had."""
    audio = settings.audio
    if not (audio.high_pass or audio.noise_suppression or audio.gain_control):
        return None
    from voicebox.audio.frontend import FrontEnd  # noqa: PLC0415  # a library that only this needs

    try:
        return FrontEnd(
            high_pass=audio.high_pass, noise_suppression=audio.noise_suppression, gain_control=audio.gain_control
        )
    except DeviceError as error:
        _log.warning("the box works on with the microphone's sound as it is: %s", error)
        return None


def echo(settings: Settings) -> "EchoCanceller | None":
    """What takes the speaker's sound out of the microphone's; None where it is off or cannot be had."""
    audio = settings.audio
    if not audio.echo_cancellation or audio.backend == "wav":  # files do not hear each other
        return None
    from voicebox.audio.echo import EchoCanceller  # noqa: PLC0415  # a library that only this needs

    try:
        return EchoCanceller()
    except DeviceError as error:
        _log.warning("the box works on without echo cancellation: %s", error)
        return None


def finder(adapter: Adapter) -> SpeechFinder:
    """What finds speech: an energy gate, or a network for a service that leaves the turns to us."""
    if adapter.capabilities.streams:
        return GateFinder()
    from voicebox.audio.vad import Silero  # noqa: PLC0415  # a network that only such a service needs

    return UtteranceFinder(Endpointer(Silero()))


def finder_over(settings: Settings) -> SpeechFinder | None:
    """What finds speech over replies; None where nobody asks, or it cannot be had."""
    ducks = settings.interruption.duck and _full_duplex(settings, cancelling=settings.audio.echo_cancellation)
    if Source.SPEECH not in settings.interruption.by and not ducks:
        return None
    from voicebox.audio.vad import Silero  # noqa: PLC0415  # as above

    try:
        return UtteranceFinder(Endpointer(Silero(), hangover_ms=GONE_MS, min_speech_ms=SOON_MS))
    except ConfigError as error:
        _log.warning("speech over answers goes unnoticed: %s", error)
        return None


def decoder() -> Callable[[Sound], bytes]:
    """Decodes what services send encoded; loaded with the first of it."""
    made: list[Callable[[Sound], bytes]] = []

    def decode(sound: Sound) -> bytes:
        if not made:
            from voicebox.audio.decode import Decoder  # noqa: PLC0415  # most services send plain PCM

            made.append(Decoder())
        return made[0](sound)

    return decode


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """A service to talk to, and where its secrets are read anew before each dial."""

    adapter: Adapter
    credentials: Callable[[], Mapping[str, str]]


@asynccontextmanager
async def service(
    settings: Settings, simulator: "Simulator | None", keepsakes: Keepsakes
) -> AsyncIterator[ServiceParts]:
    """The chosen service; without one, our own simulator on loopback."""
    if settings.service != SIMULATOR:
        adapter: Adapter = discover()[settings.service].Service(settings.service_settings)
        wire.prepare(settings.service)

        def credentials() -> dict[str, str]:
            return keepsakes.recall() | settings.credentials.read(settings.secrets)

        adapter.dial(credentials(), time.time())  # what is missing is said now, not later
        yield ServiceParts(adapter, credentials)
        return
    from voicebox.simulator import Simulator  # noqa: PLC0415  # only a box without a service needs it

    own = simulator or Simulator(brain=settings.simulator.brain, port=settings.simulator.port)
    async with own:
        _log.info("no service is configured: the box answers as a %s", settings.simulator.brain)
        module = discover()[own.service]
        section, secrets = own.access
        yield ServiceParts(module.Service(module.Settings(**section)), lambda: secrets)


def _check_cards(settings: Settings) -> list[str]:
    """Whether the cards' names can be any card's for good."""
    audio = settings.audio
    found: list[str] = []
    for name, setting in ((audio.input, "audio.input"), (audio.output, "audio.output")):
        try:
            check_name(name, setting)
        except ConfigError as error:
            found += error.problems
    return found


def _check_wake(settings: Settings) -> list[str]:
    """Whether every phrase's model can be used; loads them."""
    try:
        detector(settings)
    except ConfigError as error:
        return list(error.problems)
    return []


def _check_service(settings: Settings) -> list[str]:
    """Whether the chosen service has all it needs to be dialled. Missing secrets are said elsewhere; one that is sealed
    cannot be looked at from here."""
    section = settings.service_settings
    if section is None:
        return []
    try:
        credentials = settings.credentials.read(settings.secrets)
    except AuthError:
        credentials = {}
    for names in (*((name,) for name in section.SECRETS), section.SECRETS_ANY):
        if names and not any(name in credentials for name in names):
            credentials[names[0]] = "unused"
    try:
        discover()[settings.service].Service(section).dial(credentials, time.time())
    except ConfigError as error:
        return list(error.problems)
    except AuthError as error:
        return [str(error)]
    return []


def must_serve(settings: Settings) -> None:
    """Raises ConfigError if the chosen service cannot be dialled with these settings and the secrets there are."""
    problems = settings.credentials.problems(settings.secrets) or _check_service(settings)
    if problems:
        raise ConfigError(*problems)


def _check_pins(settings: Settings) -> list[str]:
    """Whether the pins are the sound card's."""
    return _on_i2s(settings, "the sound card on the header has (I2S); choose another") if i2s_in_use() else []


def unheard(settings: Settings) -> list[str]:
    """What is wrong with the owner's own sounds; reads them all."""
    chosen, found = settings.sounds, list[str]()
    own = Library(chosen.directory, SOUNDS, _decode_file, language=chosen.language, volume=1.0, warn=found.append)
    own.look()
    for cue in Cue:
        own.load(cue)
    return found


def warnings(settings: Settings) -> list[str]:
    """What is allowed but seldom meant."""
    found = settings_warnings(settings)
    return (
        found
        if i2s_in_use()
        else found + _on_i2s(settings, "most sound cards on the header need (I2S, GPIO18 to GPIO21)")
    )


def _on_i2s(settings: Settings, words: str) -> list[str]:
    return [f"{where} uses GPIO{pin}, which {words}" for pin, where in pins(settings) if pin in I2S]


CHECKS = (_check_cards, _check_wake, _check_service, _check_pins)
"""What ``voicebox check`` looks at beside the settings themselves."""
