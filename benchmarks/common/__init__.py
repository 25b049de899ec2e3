"""Scoring rules, readers and prompts that benchmarks share."""
