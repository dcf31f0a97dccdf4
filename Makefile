# `make check` runs what CI runs; `make test` is the README's test command.
.PHONY: install test test-cluster test-others check lint types format constraints

MAKEFLAGS += --output-sync=target

# What the tests and linters need, in the versions of constraints.txt, and the browser of the web tests with its fonts.
install:
	pip install --quiet -c constraints.txt -e ".[dev]"
	python -m tests.web.browser

# Two processes, about as long as each other, that run side by side with make -j2 test.
test: test-cluster test-others

test-cluster:
	python -m pytest tests/cluster --ignore=tests/cluster/faults --ignore=tests/cluster/test_docs_ray_data.py

test-others:
	python -m pytest tests --ignore=tests/cluster
	python -m pytest tests/cluster/faults tests/cluster/test_docs_ray_data.py

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
