"""The pure core: events in, a new state and commands out. No clock, no I/O, no threads."""
