"""The parts of perf/gpu.sh: what this project does on a GPU, measured and tested by one command."""
