#!/usr/bin/env bash
# What this project does on a GPU: tests, speed against peers, generation and where a step's time goes, in one command
# of at most eight minutes that needs no network:
#
#     perf/gpu.sh [--out DIR] [--wheels DIR] [--seconds N] [--only PART ...] [--toy]
#
# --out      where results.json, results.md and log.txt go: $OUT, else perf/gpu-results
# --wheels   a folder of wheels to add to what the machine has: $WHEELS, else perf/wheels
# --seconds  all together (default 465); each part has a limit of its own too
# --only     some of the parts: environment, lora, tests, profile, full, generate
# --toy      tiny shapes on a CPU, to try the script (DAMA_TOY=1 does the same)
#
# A part that fails, takes too long or runs out of memory is named in the table and does not end the script. Exit code:
# 0 all parts done, 2 bad usage or no GPU, 3 some part not done.
#
# On the machine: Python >= 3.11, torch with CUDA, torchvision, and what pyproject.toml asks for of transformers, peft,
# accelerate, safetensors, numpy, pillow, pyarrow, pyyaml, jinja2, click, rich; pytest for the tests. What is missing or
# older can be given as wheels; a part whose packages are not there is skipped, with the reason. Likely ones:
#     transformers>=5.23 (with huggingface_hub>=1.31)                         training, tests, generation
#     trl>=1.16 with datasets, dill, multiprocess                             TRL's side of the comparison
#     deepspeed>=0.19 (DS_BUILD_OPS=0 pip wheel --no-build-isolation), hjson  ZeRO-3
#     bitsandbytes, flash_attn                                                QLoRA, FlashAttention
# To collect them elsewhere, for the machine's Python: pip download --no-deps --python-version 3.12
#     --only-binary=:all: -c constraints.txt -d perf/wheels transformers trl datasets dill multiprocess
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WHEELS=${WHEELS:-$ROOT/perf/wheels}
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --wheels) WHEELS=${2:?--wheels needs a folder}; shift ;;
        *) arguments+=("$1") ;;
    esac
    shift
done

for candidate in "${PYTHON:-}" "$ROOT/.venv/bin/python" python3 python; do
    [ -n "$candidate" ] && "$candidate" -c 'import sys, torch; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
    candidate=
done
[ -n "$candidate" ] || { echo "gpu.sh: no Python 3.11 or newer with torch here; name one: PYTHON=/path/to/python $0" >&2; exit 2; }

WORK=$(mktemp -d "${TMPDIR:-/tmp}/dama-gpu-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
mkdir "$WORK/site"
for wheel in "$WHEELS"/*.whl; do
    [ -e "$wheel" ] || continue
    "$candidate" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --upgrade \
        --target "$WORK/site" "$wheel" || echo "gpu.sh: $(basename "$wheel") does not fit this machine: left out" >&2
done

export PYTHONPATH="$WORK/site:$ROOT:$ROOT/perf${PYTHONPATH:+:$PYTHONPATH}"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false DAMA_HOME="$WORK/home" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
cd "$ROOT" || exit 1
"$candidate" -m gpu --work "$WORK" ${arguments[@]+"${arguments[@]}"}
