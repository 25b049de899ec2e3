"""Preference pairs: reading, encoding, the forward over both responses, the reference."""
