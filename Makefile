# `make check` runs what CI runs; `make test` is the README's test command.
.PHONY: install test test-runs test-service test-others test-vllm check lint types format constraints

MAKEFLAGS += --output-sync=target

# What the tests and linters need, in the versions of constraints.txt, and the browser of the web tests with its fonts.
# Then it compiles the project once for hundreds of processes, also where Python is told to write no bytecode.
install:
	pip install --quiet -c constraints.txt -e ".[dev]"
	python -m compileall -q benchmarks jobs one_ocr_ray tests
	python -m tests.web.browser

# Three processes that run side by side with make -j3 test. Together they fill two CPUs, so CPU seconds are what counts.
test: test-runs test-service test-others

# So that all three take the same time.
WITHOUT_A_CLUSTER = tests/http tests/servers
BESIDE_THE_SERVICE = tests/cluster/service tests/cluster/faults tests/cluster/test_monitoring.py

test-runs:
	python -m pytest tests/cluster $(addprefix --ignore=,$(BESIDE_THE_SERVICE))

test-service:
	python -m pytest $(WITHOUT_A_CLUSTER) $(BESIDE_THE_SERVICE)

test-others:
	python -m pytest tests --ignore=tests/cluster --ignore=tests/vllm $(addprefix --ignore=,$(WITHOUT_A_CLUSTER))

# A real vLLM on the CPU. Its environment of 3.4 GB, made once in a minute or two, stays in VLLM_FOLDER.
VLLM_FOLDER ?= $(HOME)/.cache/one-ocr-vllm
test-vllm:
	mkdir -p "$(VLLM_FOLDER)" && tests/vllm/install.sh "$(VLLM_FOLDER)"
	ONE_OCR_VLLM_FOLDER="$(VLLM_FOLDER)" python -m pytest tests/vllm

lint:
	ruff check .
	ruff format --check .
	lint-imports

types:
	mypy
	mypy tests/typed_script.py

format:
	ruff format .
	ruff check --fix .

check: lint types test

constraints:
	.ci/constraints
