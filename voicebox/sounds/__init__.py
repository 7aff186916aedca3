"""What the box lets hear of itself: earcons, and messages about what is wrong."""
