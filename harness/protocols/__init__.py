"""The theory: what a benchmark, a judge, a model, a recorder and a progress display are to the engine."""
