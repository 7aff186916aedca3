"""A server that plays the services on loopback: for a box without an account, for the demo and for tests."""

from voicebox.simulator.server import Simulator

__all__ = ["Simulator"]
