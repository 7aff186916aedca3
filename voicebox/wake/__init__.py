"""Wake word engines. One file each; ``base`` holds what they promise."""
