"""Whom the boxes of these tests trust, and a box that has lived once: what is loaded only then is not a fault's."""

from collections.abc import Iterator

import pytest

from tests.faults.town import authority, town
from voicebox.virtualtime import run_virtual


@pytest.fixture(scope="package", autouse=True)
def _trusting() -> Iterator[None]:
    async def main() -> None:
        async with town(memory=2**30):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authority().ca))
        run_virtual(main())
        yield
