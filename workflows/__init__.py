"""What each command does, without the screen."""
