"""Judges by name, and the judges of this project."""
