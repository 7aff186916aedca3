"""Every key of a TOML text is found on its line."""

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from voicebox.settings.text import line_numbers, to_toml

KEYS = st.one_of(st.text("abc_-19", min_size=1, max_size=4), st.text('x."\\ #=[]', min_size=1, max_size=4))
SCALARS = st.one_of(st.integers(-99, 99), st.booleans(), st.text("a \"\\#[]{},=\n'", max_size=6), st.floats(-9, 9))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(KEYS, st.lists(st.tuples(KEYS, VALUES), unique_by=lambda pair: pair[0])), unique_by=lambda s: s[0]
    )
)
def test_every_key_is_found_on_its_line(sections: list[tuple[str, list[tuple[str, Any]]]]) -> None:
    lines: list[str] = ["# a comment with [brackets] and = signs"]
    expected: dict[tuple[str, ...], int] = {}
    for name, pairs in sections:
        lines += ["", f"[ {to_toml(name)} ]  # [x]"]
        expected[(name,)] = len(lines)
        for key, value in pairs:
            lines.append(f"{to_toml(key)} = {to_toml(value)} # {key!r}")
            expected[(name, key)] = len(lines)
    text = "\n".join(lines)
    assert tomllib.loads(text) == {name: dict(pairs) for name, pairs in sections}
    found = line_numbers(text)
    assert {path: found[path] for path in expected} == expected
    assert {path for path in found if len(path) <= 2} == set(expected)


def test_lines_inside_lists_tables_and_long_texts() -> None:
    text = """
a.b = [ # comment ]
  1, [2,
  3],
]
long = '''
x = 1
[no]
'''
long2 = \"\"\"a\\"\"\"
b\"\"\"\"\"
[[t]]
x = { y = 1, "z.z" = [{ q = 2 }] }
[[t]]
x.y = 3
[t.u]
[[t.v]]
w = 2020-01-01T00:00:00Z
'q r' . s = 1
"""
    tomllib.loads(text)
    assert line_numbers(text) == {
        ("a",): 2,
        ("a", "b"): 2,
        ("a", "b", 0): 3,
        ("a", "b", 1): 3,
        ("a", "b", 1, 0): 3,
        ("a", "b", 1, 1): 4,
        ("long",): 6,
        ("long2",): 10,
        ("t",): 12,
        ("t", 0): 12,
        ("t", 0, "x"): 13,
        ("t", 0, "x", "y"): 13,
        ("t", 0, "x", "z.z"): 13,
        ("t", 0, "x", "z.z", 0): 13,
        ("t", 0, "x", "z.z", 0, "q"): 13,
        ("t", 1): 14,
        ("t", 1, "x"): 15,
        ("t", 1, "x", "y"): 15,
        ("t", 1, "u"): 16,
        ("t", 1, "v"): 17,
        ("t", 1, "v", 0): 17,
        ("t", 1, "v", 0, "w"): 18,
        ("t", 1, "v", 0, "q r"): 19,
        ("t", 1, "v", 0, "q r", "s"): 19,
    }
