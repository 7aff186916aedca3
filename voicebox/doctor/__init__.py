"""``voicebox doctor``: looks at everything a box needs, and names the cure of each thing it finds. One file for each
family of checks, in the order of ``examination.CHECKS``."""
