"""A real vLLM server on the CPU, with a model made here. Only `make test-vllm` runs these: 3 GB and several minutes."""
