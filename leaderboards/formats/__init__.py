"""Leaderboards as terminal tables, Markdown, LaTeX, CSV and JSON."""
