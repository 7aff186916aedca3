"""Whom the boxes of these tests trust, and a box that has lived once: what is loaded only then is not a fault's."""

import pytest

from tests.faults import town
from tests.support.certificates import Authority
from voicebox.virtualtime import run_virtual


@pytest.fixture(scope="session", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    town.authority = Authority(tmp_path_factory.mktemp("authority"))

    async def main() -> None:
        async with town.town(memory=2**30):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(town.authority.ca))
        run_virtual(main())


@pytest.fixture(autouse=True)
def _trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is one of the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(town.authority.ca))
