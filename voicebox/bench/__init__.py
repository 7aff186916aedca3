"""Measures what tests must not: how fast, how silent, how much. A section is a module beside this one whose name does
not begin with an underscore; it has ``run(options) -> list[Figure]``, and its docstring's first line says what it
measures. Nothing has to be registered."""

from voicebox.bench._command import main
from voicebox.bench._figures import Figure, Options, at_least, at_most, stated

__all__ = ["Figure", "Options", "at_least", "at_most", "main", "stated"]
