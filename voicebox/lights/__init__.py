"""Lights. ``base`` holds what they promise, ``patterns`` what they show, one file each drives a kind of light."""
