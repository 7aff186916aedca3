"""What can be set, its default, its range. One model per section of voicebox.toml; all values are frozen.

TOML has no null, so whatever can be switched off is written ``false`` and read as ``None``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    StrictBool,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from voicebox.lights.base import discover as lights
from voicebox.services.base import ServiceSettings
from voicebox.settings import boards
from voicebox.settings.credentials import Credentials
from voicebox.settings.sources import Layer, Layers

SIMULATOR = "simulator"
"""The service that is always there: a parrot on loopback."""

Off = BeforeValidator(lambda value: None if value is False or value == "false" else value)
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Pin = Annotated[Integer, Field(ge=0, le=27)]
Timeout = Annotated[Number, Field(gt=0, le=600)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    SECRETS: ClassVar[tuple[str, ...]] = ()
    """Names of the credentials it may need."""


class Audio(Section):
    backend: Literal["alsa", "wav"] = "alsa"
    input: str = Field(default="default", min_length=1)
    input_channel: Annotated[Annotated[Integer, Field(ge=0, le=31)] | None, Off] = 0
    output: str = Field(default="default", min_length=1)
    echo_cancellation: StrictBool = True
    duplex: Literal["auto", "half", "full"] = "auto"
    high_pass: StrictBool = False
    noise_suppression: StrictBool = False
    gain_control: StrictBool = False
    period_ms: Integer = Field(default=5, ge=5, le=50)
    wav_input: Annotated[Path | None, Off] = None
    wav_output: Annotated[Path | None, Off] = None


class Playback(Section):
    lead_ms: Annotated[Annotated[Integer, Field(ge=0, le=2000)] | None, Off] = None
    mixer: str = Field(default="auto", min_length=1)
    keep_awake: Literal["off", "stream", "dither"] = "off"
    pre_silence_ms: Integer = Field(default=0, ge=0, le=2000)


class WakePhrase(Section):
    model: str = Field(default="hey_jarvis", min_length=1)
    threshold: Number = Field(default=0.5, gt=0, le=1)
    patience: Integer = Field(default=1, ge=1, le=50)


class Wake(Section):
    enabled: StrictBool = True
    phrases: tuple[WakePhrase, ...] = (WakePhrase(),)
    playing_threshold: Annotated[Annotated[Number, Field(gt=0, le=1)] | None, Off] = None
    playing_patience: Annotated[Annotated[Integer, Field(ge=1, le=50)] | None, Off] = None
    refractory_s: Number = Field(default=2.0, ge=0, le=60)
    preroll_ms: Integer = Field(default=1500, ge=0, le=5000)


class Conversation(Section):
    connect_timeout_s: Timeout = 15.0
    listen_timeout_s: Timeout = 10.0
    follow_up_s: Number = Field(default=8.0, ge=0, le=600)
    utterance_timeout_s: Timeout = 60.0
    reply_timeout_s: Timeout = 30.0
    stall_timeout_s: Timeout = 5.0


class Interruption(Section):
    by: tuple[Literal["server", "wake_word", "button", "speech"], ...] = ("server", "wake_word", "button")
    guard_ms: Integer = Field(default=300, ge=0, le=2000)
    duck: StrictBool = True


class Sounds(Section):
    earcons: StrictBool = True
    listen_earcon: StrictBool | Literal["auto"] = "auto"
    spoken: StrictBool = True
    language: str = Field(default="en", pattern="^[a-z]{2,3}$")
    volume: Number = Field(default=1.0, ge=0, le=1)
    directory: Path = Path("/etc/voicebox/sounds")


class Session(Section):
    keep_warm_s: Number = Field(default=0.0, ge=0, le=3600)
    max_minutes: Annotated[Annotated[Number, Field(gt=0, le=1440)] | None, Off] = None
    daily_minutes: Annotated[Annotated[Number, Field(gt=0, le=1440)] | None, Off] = None


class Diary(Section):
    enabled: StrictBool = False
    days: Integer = Field(default=7, ge=1, le=3650)


class LedRow(Section):
    leds: Integer = Field(default=3, ge=1, le=300)
    select: Integer = Field(default=0, ge=0, le=1)
    power: Annotated[Pin | None, Off] = None
    data: Annotated[Pin | None, Off] = None
    clock: Annotated[Pin | None, Off] = None


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError("a time of day is written from 00:00 to 23:59")
    return text


TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]


class Night(Section):
    start: TimeOfDay = "22:00"
    end: TimeOfDay = "07:00"
    brightness: Number = Field(default=0.2, ge=0, le=1)


class Lights(Section):
    backend: str = "gpio"  # limited to what there is, by ``schema``
    led: Annotated[Pin | None, Off] = 25
    rgb: Annotated[tuple[Pin, Pin, Pin] | None, Off] = None
    apa102: LedRow = LedRow()
    active_high: StrictBool = True
    brightness: Number = Field(default=1.0, ge=0, le=1)
    night: Annotated[Night | None, Off] = None
    privacy: Annotated[Literal[True] | Pin | None, Off] = None
    privacy_required: StrictBool = False


Action = Literal["stop", "mute", "repeat", "volume_up", "volume_down", "shut_down"]


class Press(Section):
    """What the presses of a button do."""

    tap: Annotated[Literal["talk"] | Action | None, Off] = None
    double_tap: Annotated[Action | None, Off] = None
    hold: Annotated[Literal["push_to_talk"] | Action | None, Off] = None
    long_hold: Annotated[Action | None, Off] = None
    hold_ms: Integer = Field(default=400, ge=100, le=5000)
    double_tap_ms: Integer = Field(default=350, ge=100, le=1000)
    long_hold_s: Number = Field(default=5.0, ge=1, le=60)
    max_hold_s: Number = Field(default=60.0, gt=0, le=600)
    pull_up: StrictBool = True


class Button(Press):
    pin: Annotated[Pin | None, Off] = 17
    tap: Annotated[Literal["talk"] | Action | None, Off] = "talk"
    hold: Annotated[Literal["push_to_talk"] | Action | None, Off] = "push_to_talk"


class ExtraButton(Press):
    pin: Pin


class MuteSwitch(Section):
    pin: Annotated[Pin | None, Off] = None
    pull_up: StrictBool = True
    muted_when: Literal["closed", "open"] = "closed"


Topic = Annotated[str, Field(pattern=r"^[^+#/\s]+(/[^+#/\s]+)*$", max_length=100)]


class Mqtt(Section):
    SECRETS: ClassVar[tuple[str, ...]] = ("mqtt_password",)

    enabled: StrictBool = False
    host: str = Field(default="homeassistant.local", min_length=1)
    port: Annotated[Annotated[Integer, Field(ge=1, le=65535)] | None, Off] = None
    tls: StrictBool = False
    ca_file: Annotated[Path | None, Off] = None
    username: str = ""
    node: Annotated[Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")] | None, Off] = None
    topic_prefix: Topic = "voicebox"
    discovery_prefix: Annotated[Topic | None, Off] = "homeassistant"
    transcripts: StrictBool = False

    @property
    def has_password(self) -> bool:
        """Whether the secret is needed."""
        return self.enabled and bool(self.username)


class Simulator(Section):
    brain: Literal["parrot", "talker"] = "parrot"
    port: Integer = Field(default=0, ge=0, le=65535)


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """Everything the owner can set. ``load`` makes one; each service adds a section of its own name."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    services: ClassVar[Mapping[str, type[ServiceSettings]]] = {}
    """The service sections there are, by name."""
    layers: ClassVar[Layers] = Layers(())
    """Where the values were read from, highest first."""

    service: str = SIMULATOR
    board: Annotated[str | None, Off] = None  # limited to what there is, by ``schema``
    buttons: tuple[ExtraButton, ...] = ()
    audio: Audio = Audio()
    playback: Playback = Playback()
    wake: Wake = Wake()
    conversation: Conversation = Conversation()
    interruption: Interruption = Interruption()
    sounds: Sounds = Sounds()
    session: Session = Session()
    diary: Diary = Diary()
    lights: Lights = Lights()
    button: Button = Button()
    mute_switch: MuteSwitch = MuteSwitch()
    mqtt: Mqtt = Mqtt()
    simulator: Simulator = Simulator()
    log: Log = Log()

    _credentials: Credentials = PrivateAttr()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_: PydanticBaseSettingsSource, **__: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return tuple(LayerSource(settings_cls, layer) for layer in cls.layers.highest_first)

    @property
    def service_settings(self) -> ServiceSettings | None:
        """The section of the chosen service; None for the simulator."""
        return getattr(self, self.service) if self.service in self.services else None

    def differences(self, other: "Settings") -> list[str]:
        """The sections, and keys of no section, in which they differ; services that neither uses do not count."""
        unused = set(other.services) - {self.service, other.service}
        mine, theirs = self.model_dump(), other.model_dump()
        return [name for name in mine if name not in unused and mine[name] != theirs.get(name)]

    @property
    def credentials(self) -> Credentials:
        """Where the secrets are read, anew at every call."""
        return self._credentials

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the secrets that the chosen service needs, or of which it needs one (see Credentials)."""
        section = self.services.get(self.service, ServiceSettings)
        return section.SECRETS + section.SECRETS_ANY

    @property
    def all_secrets(self) -> tuple[str, ...]:
        """Names of the secrets in use: the service's, and the broker's password."""
        return self.secrets + (self.mqtt.SECRETS if self.mqtt.has_password else ())


class LayerSource(PydanticBaseSettingsSource):
    """Hands one layer to pydantic-settings, which lays them over each other."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # their signature
        return self._layer.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._layer.values)


def secret_names(services: Mapping[str, type[ServiceSettings]]) -> list[str]:
    """All that can be set, of whatever service or section."""
    named = {name for section in services.values() for name in (*section.SECRETS, *section.SECRETS_ANY)}
    return sorted(named.union(Mqtt.SECRETS))


def schema(services: Mapping[str, type[ServiceSettings]]) -> type[Settings]:
    """Settings with one section per service, and ``service`` limited to what there is."""
    sections: dict[str, Any] = {name: (section, Field(default_factory=section)) for name, section in services.items()}
    sections["service"] = (Literal[(SIMULATOR, *sorted(services))], SIMULATOR)
    sections["board"] = (Annotated[Literal[tuple(boards.names())] | None, Off], None)
    backend: Any = (Literal[tuple(lights())], "gpio")
    section = create_model("Lights", __base__=Lights, backend=backend)
    sections["lights"] = (section, section())
    model = create_model("Settings", __base__=Settings, **sections)
    model.services = dict(services)
    return model
