# What a newcomer and CI call. Nothing is expected but Python >= 3.11 and make; GNU make 3.81, which macOS ships, is enough.

ifndef .FEATURES
$(error nrmbus: GNU make 3.81 or newer is needed, and this one is older or another make: sudo apt install make (Debian, Ubuntu), xcode-select --install (macOS), then run gmake or make again)
endif

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types bench chaos pins clean

python := .venv/bin/python
scenario := services/nrmbus/play/scenarios/01-woman-referred-by-ngo.yaml

help: ## Say what there is to call
	@awk -F ':.*## ' '/^[a-z]+:.*## /{ printf "make %-8s %s\n", $$1, $$2 }' Makefile

install: ## Install into .venv; asks the network only when pyproject.toml or constraints.txt changed
	@PYTHON="$(PYTHON)" sh .ci/install

demo: install ## Play one woman's referral over a real Kafka and print the story
	@.venv/bin/nrmbus play $(scenario)

test: lint ## All that CI runs: lint, types, tests
	@$(python) .ci/tests.py

lint: install ## Check style, with a reason behind each exception (pyproject.toml)
	@echo '== Style: ruff'
	@$(python) -m ruff check .
	@$(python) -m ruff format --check . || { echo 'nrmbus: the files above are not formatted: .venv/bin/ruff format .' >&2; exit 1; }

types: install ## Check types: mypy, strict
	@echo '== Types: mypy'
	@$(python) -m mypy

bench: install ## Measure against a bare Kafka loop; benchmarks/README.md keeps the table
	@$(python) benchmarks/run.py

chaos: install ## Kill services and brokers under load, then count what was lost or doubled
	@$(python) -m nrmbus.play.chaos

pins: install ## Renew constraints.txt from what the package index has today
	@PYTHONS="$(PYTHONS)" $(python) .ci/pins.py

clean: ## Remove what make made here: .venv, caches, builds (Kafka and data stay in your XDG folders)
	@rm -rf .venv .stamps build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find services tests benchmarks .ci -name __pycache__ -type d -prune -exec rm -rf {} +
