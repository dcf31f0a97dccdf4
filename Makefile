# `make check` runs what CI runs; `make test` is the README's test command.
.PHONY: install test test-without-ray test-with-ray check lint types format constraints

install:
	pip install -e ".[dev]"

# Two processes that can run side by side: make -j2 test.
test: test-without-ray test-with-ray

test-without-ray:
	python -m pytest tests/unit tests/http tests/system tests/faults tests/service tests/web

test-with-ray:
	python -m pytest tests/cluster

lint:
	ruff check .
	ruff format --check .
	lint-imports

types:
	mypy

format:
	ruff format .
	ruff check --fix .

check: lint types test

constraints:
	.ci/constraints
