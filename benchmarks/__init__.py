"""One file per benchmark, and the scoring rules they share."""
