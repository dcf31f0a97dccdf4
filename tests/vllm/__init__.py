"""A real vLLM server on the CPU, with a model made here. `make test-vllm` runs all of these, `.ci/run` the first."""
