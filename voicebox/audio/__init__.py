"""Sound in and out. ``base`` holds the promises, one file each keeps them."""
