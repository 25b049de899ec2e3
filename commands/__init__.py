"""What each sub-command does, without the screen: the only rooms above it are cli.py and the user."""
