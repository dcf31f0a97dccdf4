# `make check` runs what CI runs; `make test` is the README's test command.
.PHONY: install test check lint types format constraints

install:
	pip install -e ".[dev]"

test:
	python -m pytest tests/unit tests/http tests/system tests/faults tests/service tests/web
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
