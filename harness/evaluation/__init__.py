"""From samples to figures: generate, judge, score, sum up."""
