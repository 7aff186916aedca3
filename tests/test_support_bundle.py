"""The support bundle: canaries in whatever it could read, and none of them in what it holds."""

import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from voicebox import cli
from voicebox.support import contents, mask
from voicebox.support.machine import Machine, run
from voicebox.support.sentences import rebuilt

CANARIES = (
    *(
        "xylophone",
        "quokka",
        "Quokka",
        "FRITZ!Box",
        "Tante Erna",
        "ernamuster",
        "oak_s3cr3t",
        "s3cr3t",
        "meeting-4242",
        "kitchenette",
    ),
    *("192.168.178.23", "fe80::1ff:fe23", "b8:27:eb:12:34:56", "broker.erna.example", "4242424242", "hunter2hunter2"),
)
SAID = "please ask the quokka whether the xylophone of Tante Erna is ready"
CUT = "interrupted by server after 3217 ms of the reply: 11000 ms dropped, silent within 12 ms"
EXITED = "voicebox.service: Main process exited, code=exited, status=78/CONFIG"
SETTINGS = """\
service = "lira"
[lira]
meeting_id = "meeting-4242"
user_name = "Tante Erna"
url = "wss://broker.erna.example/kitchenette"
settings = { personality = "quokka", xylophone = "s3cr3t" }
[audio]
duplex = "half"
input = "hw:Device,0"
[wake]
phrases = [{ model = "hey_jarvis", threshold = 0.4 }, { model = "/home/pi/quokka.onnx" }]
[mqtt]
enabled = true
host = "broker.erna.example"
username = "ernamuster"
node = "kitchenette"
[lights]
night = { start = "21:00" }
"""


def entry(message: str | list[int], priority: int = 6, logger: str = "voicebox.session") -> str:
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(priority),
        "LOGGER": logger,
        "__REALTIME_TIMESTAMP": "1700000000123456",
    }
    return json.dumps(fields)


JOURNAL = [
    entry("listening → thinking (TurnEnded)", logger="voicebox.box"),
    entry(f"Transcript(text='{SAID}', final=True)", 7),
    entry(SAID, 7),
    entry(SAID),
    entry(f"the service cannot be reached: {SAID}"),
    entry("cannot reach broker.erna.example at 192.168.178.23 or fe80::1ff:fe23: [Errno 111] Connection refused", 4),
    entry("wlan0: FRITZ!Box 7590 of Tante Erna, b8:27:eb:12:34:56, key hunter2hunter2", logger="quokka.xylophone"),
    entry("mqtt: no connection to the broker at broker.erna.example:1883, the box works on without it: timed out", 4),
    entry('RuntimeError: oak_s3cr3t\n  File "/opt/x/voicebox/box.py", line 12, in _log\n    quokka("xylophone")', 3),
    entry([120, 121, 108]),
    "no JSON: xylophone",
    json.dumps({"MESSAGE": SAID, "PRIORITY": "quokka", "__REALTIME_TIMESTAMP": "1"}),
    json.dumps(["quokka"]),
]
STATUS = {
    "ok": True,
    "version": "0.1.0",
    "phase": "idle",
    "fault": "quokka",
    "service": "lira",
    "status": f"thinking about {SAID}",
    "volume": 40,
    "echo": {"delay_ms": 12.5, "Tante Erna": 1},
    "latency_ms": {"speech_to_sound": 800.0, "note": SAID},
    "transcript": SAID,
}


def programs(command: Sequence[str]) -> str:
    """Each says more than it is asked for."""
    answers = {
        "journalctl": "\n".join(JOURNAL),
        "systemctl": "ActiveState=active\nResult=success\nNRestarts=3\nStatusText=quokka\nEnvironment=s3cr3t\n",
        "vcgencmd": "throttled=0x50000 xylophone",
        "timedatectl": "Timezone=Erna/Quokka\nNTPSynchronized=yes\n",
        "iw": "Power save: on\nssid FRITZ!Box\n",
    }
    return answers[command[0]]


@pytest.fixture
def box(tmp_path: Path) -> contents.Box:
    root = tmp_path / "root"
    files = {
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nHOME_URL="quokka"\n',
        "etc/hostname": "kitchenette\n",
        "etc/wpa_supplicant/wpa_supplicant.conf": 'ssid="FRITZ!Box 7590"\npsk="hunter2hunter2"\n',
        "etc/resolv.conf": "search erna.example\nnameserver 192.168.178.23\nnameserver fe80::1ff:fe23\n",
        "etc/systemd/system/voicebox.service.d/override.conf": "[Service]\nEnvironment=VOICEBOX_LIRA_TOKEN=s3cr3t\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/uptime": "7200.00 100.00\n",
        "proc/loadavg": "0.50 0.40 0.30 1/100 4242424242\n",
        "proc/meminfo": "MemTotal:  2048000 kB\nMemAvailable:  1024000 kB\nQuokka: 1 kB\n",
        "proc/asound/cards": " 1 [Device         ]: USB-Audio - USB PnP Sound Device\n",
        "proc/net/route": "Iface\tDestination\nwlan0\t00000000\t01B2A8C0\n",
        "proc/net/wireless": "a\nb\n wlan0: 0000   54.  -56.  -256        0      0\n",
        "sys/class/net/wlan0/operstate": "up\n",
        "sys/class/net/wlan0/wireless/quokka": "",
        "sys/class/net/wlan0/address": "b8:27:eb:12:34:56\n",
        "sys/class/net/quokka0/operstate": "up\n",
        "sys/class/thermal/thermal_zone0/temp": "51234\n",
        "var/lib/voicebox/conversations/2026-11-01.jsonl": json.dumps({"text": SAID}),
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    config = tmp_path / "etc" / "voicebox.toml"
    (config.parent / "credentials").mkdir(parents=True, mode=0o700)
    config.write_text(SETTINGS)
    for name in ("lira_token", "mqtt_password", "quokka"):
        (config.parent / "credentials" / name).write_text("oak_s3cr3t")
        (config.parent / "credentials" / name).chmod(0o600)
    return contents.Box(config, Machine(root, programs), ask=lambda _: dict(STATUS))


def test_no_canary_gets_in_and_what_helps_does(box: contents.Box) -> None:
    texts = contents.gather(box)
    whole = "\n".join(texts.values())
    assert [canary for canary in CANARIES if canary in whole] == []
    for name, wanted in {
        "machine.txt": ["Raspberry Pi 4 Model B", "bookworm", "up for 2.0 hours", "1000 MB", "51 °C", "0x50000"],
        "service.txt": ["ActiveState: active", "NRestarts: 3", "1 files"],
        "sound.txt": ["USB PnP Sound Device"],
        "network.txt": ["Wi-Fi: up", "54 -56", "power save: on", "name servers: 2", "NTPSynchronized yes"],
        "secrets.txt": ["lira_token: 0 days old", "one that nothing needs"],
        "settings.txt": [
            *('service = "lira"', 'audio.duplex = "half"', 'audio.input = "hw:Device,0"', "threshold = 0.4"),
            *('lira.meeting_id = "(12 characters)"', "hey_jarvis", 'lira.settings = "(2 keys)"', "mqtt.enabled = true"),
        ],
        "status.txt": ["phase: idle", "volume: 40", "delay_ms 12.5", "speech_to_sound 800.0", "fault: (6 characters)"],
        "log.txt": [
            *("voicebox.box listening → thinking (TurnEnded)", "Connection refused", "11-14 22:13:20.123"),
            *("mqtt: no connection to the broker at …", "voicebox/box.py, line 12", "RuntimeError"),
        ],
    }.items():
        assert [text for text in wanted if text not in texts[name]] == [], texts[name]


def test_wrong_settings_are_told_by_their_lines(box: contents.Box) -> None:
    assert box.config
    box.config.write_text("[audio]\nduplex = 'quokka'\n")
    (box.config.parent / "conf.d").mkdir()
    (box.config.parent / "conf.d" / "xylophone.toml").write_text("\n\nquokka = 1\n")
    lines = list(contents.chosen(box))
    assert "mistake in voicebox.toml, line 2" in lines
    assert "mistake in a file in conf.d, line 3" in lines
    assert "quokka" not in "".join(lines)


def test_nothing_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user's, on a machine with nothing there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VOICEBOX_CONTROL", str(tmp_path / "none.sock"))
    texts = contents.gather(contents.Box(tmp_path / "none" / "voicebox.toml", Machine(tmp_path, lambda _: "")))
    assert "nothing could be read: this needs root" in texts["log.txt"]
    assert "no box answers" in texts["status.txt"]
    assert "no sound cards" in texts["sound.txt"]
    assert run(["journalctl"]) == ""


def test_a_program_that_fails_says_nothing() -> None:
    assert run(["sh", "-c", "echo quokka; exit 3"]) == ""
    assert run(["sh", "-c", "echo fine"]) == "fine\n"


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("muted: the microphone is closed", "muted: the microphone is closed"),
        (CUT, CUT),
        (EXITED, EXITED),
        ("the box works on without its light: at number 4711", "the box works on without its light: …"),
        ("what time is it?", "…"),
        ("4711", "4711"),
        ("4711471147", "…"),
        ("", ""),
    ],
)
def test_a_line_is_made_anew_from_the_programs_own_sentences(line: str, seen: str) -> None:
    assert rebuilt(line) == seen


def test_what_people_say_to_the_simulator_is_not_among_our_sentences() -> None:
    assert "weather" not in rebuilt("stop, tell me about the weather instead")


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "b8:27:eb:12:34:56", "fe80::1", "2001:db8:0:1:2:3:4:5", "me@home.example", "wss://x.example/y?z=1"],
)
def test_addresses_are_masked_and_times_and_versions_are_not(address: str) -> None:
    assert mask.addresses(f"a {address} b") == "a *** b"
    assert mask.addresses("12:34:56.789 version 0.1.0") == "12:34:56.789 version 0.1.0"


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def command(box: contents.Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.setattr(contents, "Box", lambda config: contents_box(box, config))
    monkeypatch.chdir(tmp_path)
    return ["support-bundle", "--config", str(box.config)]


def contents_box(box: contents.Box, config: Path | None) -> contents.Box:
    assert config == box.config
    return box


def test_says_what_it_will_hold_and_asks(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert cli.main(command) == 1
    printed = capsys.readouterr().out
    assert [item.name for item in contents.ITEMS if item.name not in printed] == []
    assert list(tmp_path.glob("*.tar.gz")) == []


def test_writes_a_tar_of_text_for_its_owner_only(
    command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main([*command, "--yes"]) == 0
    (file,) = tmp_path.glob("voicebox-support-*.tar.gz")
    assert file.name in capsys.readouterr().out
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        names = [Path(name).name for name in archive.getnames()]
        texts = [archive.extractfile(member) for member in archive.getmembers()]
        whole = b"".join(text.read() for text in texts if text).decode()
    assert names == [item.name for item in contents.ITEMS]
    assert [canary for canary in CANARIES if canary in whole] == []


def test_shows_all_of_it_and_writes_nothing(
    command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main([*command, "--show"]) == 0
    assert "--- log.txt\n" in capsys.readouterr().out
    assert list(tmp_path.glob("*.tar.gz")) == []


@pytest.mark.parametrize("there", [True, False])
def test_says_why_it_writes_nothing(
    command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, there: bool
) -> None:
    """Nobody to be asked; a file that is there."""
    (tmp_path / "mine.tar.gz").write_text("mine")
    extra: Mapping[bool, Any] = {True: ["--yes", "--output", "mine.tar.gz"], False: []}
    assert cli.main([*command, *extra[there]]) == 1
    assert ("--output" if there else "--yes") in capsys.readouterr().err
    assert (tmp_path / "mine.tar.gz").read_text() == "mine"
