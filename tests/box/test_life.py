"""Whatever happens to the box, in any order: nothing stale is heard, nothing leaves in the dark, it comes to rest."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.life import DEEDS, TROUBLES, Deed, live

LIVES = int(os.environ.get("LIVES", "0"))
"""How many; 0: as many as CI has time for, always the same. ``scripts/life N``"""


@settings(max_examples=LIVES or 16, deadline=None, derandomize=not LIVES, database=None)
@given(
    st.lists(st.sampled_from(DEEDS), min_size=5, max_size=20),
    st.sampled_from(TROUBLES),
    st.sampled_from(["full", "half"]),
)
def test_no_life_leaves_it_stuck(deeds: list[Deed], trouble: tuple[str, str], duplex: str) -> None:
    live(deeds, *trouble, duplex)
