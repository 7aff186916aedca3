"""The demo: the real daemon in conversation with the simulator, measured from what its sound card played."""

from voicebox.demo.command import Options, main, services

__all__ = ["Options", "main", "services"]
