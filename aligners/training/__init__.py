"""Alignment runs: settings, pipeline, trainer, cost, and the model that comes out."""
