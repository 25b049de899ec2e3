"""What only a GPU shows: run by perf/gpu.sh, on a CPU with DAMA_TOY=1, and left out of every other run."""
