"""The services, one module each. See base.py for what they promise."""
