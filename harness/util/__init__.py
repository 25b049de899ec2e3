"""Helpers that know nothing of benchmarks, models or aligners."""
