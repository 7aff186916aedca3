"""The box in the smart home: it tells an MQTT broker what it does, and takes from there what is asked of it."""
