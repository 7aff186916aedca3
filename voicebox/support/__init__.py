"""What a helper may see of a box: ``voicebox support-bundle``. What is not named in ``contents.py`` is not in it."""
