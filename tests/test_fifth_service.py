"""A fifth service is one file: dropped beside the four it has its section, its checks and a whole conversation.

The service is tests/support/acme.py; nothing else knows of it, and its server is in here.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

import voicebox.services
from tests.support.bounded import run_bounded
from tests.support.house import living
from voicebox import cli
from voicebox.core.state import Phase
from voicebox.services.base import discover
from voicebox.simulator.turns import Turn, Turns

ROOT = Path(__file__).parent.parent
TOKEN = "not-a-real-token"  # noqa: S105  # as it says
ANSWER = (8_000 * np.sin(np.arange(36_000) / 9)).astype("<i2").tobytes()  # 1.5 s at 24 kHz


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("services")
    shutil.copy(ROOT / "tests/support/acme.py", folder)
    return folder


@pytest.fixture
def acme(folder: Path) -> Iterator[None]:
    """It is there, and afterwards was not."""
    voicebox.services.__path__.append(str(folder))
    yield
    voicebox.services.__path__.remove(str(folder))
    name = "acme"
    del sys.modules[f"voicebox.services.{name}"]
    delattr(voicebox.services, name)


def test_it_was_not_there_before() -> None:
    assert "acme" not in discover()


def test_it_keeps_the_promises_of_all_services(folder: Path, tmp_path: Path) -> None:
    """The contract tests find it by themselves."""
    (tmp_path / "beside.py").write_text(
        f"import voicebox.services\nvoicebox.services.__path__.append({str(folder)!r})\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "beside", "-p", "no:cacheprovider", "-k", "acme or nothing"]
    done = subprocess.run(
        [*command, "tests/contract/test_services.py"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(done.stdout.split(" passed")[0].split()[-1])
    assert passed > 30, done.stdout[-500:]


class Server:
    """Acme's: hears a turn, says what it heard, and answers."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.received: list[str] = []
        self.turns = 0

    async def handle(self, client: ServerConnection) -> None:
        assert client.request is not None
        self.tokens.append(client.request.headers["Authorization"])
        turns = Turns()
        async for message in client:
            if isinstance(message, str):
                self.received.append(message)
                continue
            for event in turns.feed(message):
                if isinstance(event, Turn):
                    self.turns += 1
                    await client.send('{"you":"something"}')
                    await client.send(ANSWER)
                    await client.send('{"end":true}')


@pytest.mark.usefixtures("acme")
def test_a_whole_conversation() -> None:
    async def main() -> Server:
        server = Server()
        async with serve(server.handle, "127.0.0.1", 0) as listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            options = {
                "VOICEBOX_SERVICE": "acme",
                "VOICEBOX_ACME__URL": f"ws://127.0.0.1:{port}",
                "VOICEBOX_ACME__ALLOW_PLAIN": "true",
                "VOICEBOX_ACME__MOOD": "merry",
                "VOICEBOX_ACME_TOKEN": TOKEN,
                "VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "3.0",
            }
            async with living(options=options, duplex="half") as house:
                await house.ask()
                await house.until_phase(Phase.LISTENING)
                house.say("cut_in")
                await house.until_phase(Phase.SPEAKING)
                await house.until_phase(Phase.IDLE)
                assert house.faults == set()
                assert [house.heard(reply).tobytes() for reply in (1, 2)] == [ANSWER, ANSWER]
                assert house.simulator.connections == []
                assert "service acme" in " ".join(text for _, text in house.systemd.told)
        return server

    server = run_bounded(main())
    assert server.tokens == [f"Bearer {TOKEN}"]
    assert server.received == ['{"mood":"merry"}']
    assert server.turns == 2


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "voicebox.toml"
    file.write_text('service = "acme"\n[acme]\nmood = "grim"\n[wake]\nenabled = false\n[lights]\nbackend = "none"\n')
    monkeypatch.delenv("VOICEBOX_ACME_TOKEN", raising=False)
    return file


@pytest.mark.usefixtures("acme")
def test_check_knows_it(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["check", "--config", str(file)]) == 78
    assert "acme_token is missing" in capsys.readouterr().out
    monkeypatch.setenv("VOICEBOX_ACME_TOKEN", TOKEN)
    assert cli.main(["check", "--config", str(file)]) == 0
    file.write_text(file.read_text().replace("mood", "moood"))
    assert cli.main(["check", "--config", str(file)]) == 78
    assert "mood" in capsys.readouterr().out


@pytest.mark.usefixtures("acme")
def test_config_show_knows_it(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEBOX_ACME_TOKEN", TOKEN)
    assert cli.main(["config", "show", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert f'[acme]\nurl = "wss://acme.example/talk"  # default\nmood = "grim"  # {file}:3\n' in shown
    assert "# acme_token: set" in shown
    assert TOKEN not in shown


def test_without_it_the_box_says_which_services_there_are(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--config", str(file)]) == 78
    assert "lira" in capsys.readouterr().out
