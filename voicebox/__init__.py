"""voicebox: a headless smart speaker for real-time voice services."""

__version__ = "0.1.0"
