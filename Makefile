# The commands of everyday. Each is a script in tools/ that can be run by hand, too.
#
# SPDX-License-Identifier: MIT
.DEFAULT_GOAL := help
.PHONY: run test verify soak build deb wheel bench lint clean help dependencies test-dependencies

run: build  ## tune a real model in 4 processes and watch it survive kill -9
	@.venv/bin/python examples/tune_digits.py $(ARGS)

test: test-dependencies  ## all tests, sanitizers and proofs included; STAGES="cpp python" for some
	@tools/test.sh $(STAGES)

verify: build test-dependencies  ## the proofs of the shared-memory protocol; docs/verification.md
	@tools/verify.sh $(ARGS)

soak: build test-dependencies  ## workers and daemons killed at random for as long as told; DURATION=1h
	@tests/verify/processes/run.sh --soak "$(or $(DURATION),1h)"

build: dependencies  ## build/release/bin/{optjournald,optjournal}, and the Python package in .venv
	@tools/build.sh

deb: dependencies  ## Debian packages in dist/: optjournal, liboptjournal-dev; docs/service.md
	@tools/deb.sh

wheel: dependencies  ## a self-contained Python wheel in dist/
	@tools/wheel.sh

bench: build  ## measure against Optuna's own storages and system calls; ARGS=--check judges
	@tools/bench.sh $(ARGS)

lint: test-dependencies  ## clang-format, ruff, mypy, shellcheck, clang-tidy; changes nothing
	@tools/lint.sh

clean:  ## remove what was built (.venv and .venvs, which take longest to make, stay)
	@rm -rf build dist .pytest_cache .ruff_cache .mypy_cache

help:  ## this text
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' Makefile

dependencies:
	@tools/install_dependencies.sh

test-dependencies:
	@tools/install_dependencies.sh --tests
