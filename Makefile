# What a newcomer and CI call. Nothing is expected but Python >= 3.11 and make; GNU make 3.81, which macOS ships, is enough.

ifndef .FEATURES
$(error nrmbus: GNU make 3.81 or newer is needed, and this one is older or another make: sudo apt install make (Debian, Ubuntu), xcode-select --install (macOS), then run gmake or make again)
endif

.DEFAULT_GOAL := help
.PHONY: help install demo try check tools test test-all lint types compiled bench chaos wheel sbom settings rules docs pins clean

python := .venv/bin/python
# Each test starts many processes, which begin faster with compiled modules; they are kept in one folder, off the tree.
pytest := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX="$(CURDIR)/.stamps/pycache" $(python) -m pytest
quick := not broker and not server and not oracle and not thorough and not slow
scenario := services/nrmbus/play/scenarios/01-woman-referred-by-ngo.yaml

help: ## Say what there is to call
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{ printf "make %-8s %s\n", $$1, $$2 }' Makefile

install: ## Install into .venv; asks the network only when pyproject.toml or constraints.txt changed
	@PYTHON="$(PYTHON)" sh .ci/install

demo: install ## Play one woman's referral over a real Kafka and print the story
	@.venv/bin/nrmbus play $(scenario)

try: install ## Try the pages: invented agencies and people with something to answer, until Ctrl-C; again, and it goes on
	@.venv/bin/nrmbus up --example

check: marks := $(quick)
check: lint compiled ## Check style, types and what is quickly tested, without a server or another language; a minute and a half
	@echo '== Tests that need no server, and half a second at most'
	@$(pytest) -n logical -m '$(marks)'

test: marks := not slow
test: lint compiled tools ## Run all that CI runs: style, types, all tests but the long ones; twelve to fifteen minutes on two processors
	@echo '== Tests, the long ones left out'
	@$(pytest) -n auto -m '$(marks)'

test-all: lint compiled tools ## Run every test, the long ones and those that need the network too
	@echo '== All tests'
	@$(pytest) -n auto

tools: install ## Build the judges that are written in Go (promtool, helm, oasdiff), once a machine; without Go those tests judge nothing, and say so
	@$(python) tests/go_tools.py

lint: install ## Check style, with a reason behind each exception (pyproject.toml)
	@echo '== Style: ruff'
	@$(python) -m ruff check .
	@$(python) -m ruff format --check . || { echo 'nrmbus: the files above are not formatted: .venv/bin/ruff format .' >&2; exit 1; }

types: install ## Check types: mypy, strict
	@echo '== Types: mypy'
	@$(python) -m mypy

# On a fresh clone the tests that are to run are compiled once beside the types; each worker would compile all of them.
# Later on a worker compiles what changed.
compiled: install
	@echo '== Types: mypy'
	@[ -d .stamps/pycache ] || $(pytest) --quiet --collect-only -m '$(marks)' >/dev/null 2>&1 & $(python) -m mypy; types=$$?; wait; exit $$types

bench: install ## Measure against bare loops; benchmarks/README.md keeps the tables. ONLY=desk, growth, questions, sizes, ledgers, webhooks, streams, pages, figures or peer measures one part, LONG=1 those of minutes too
	@$(python) benchmarks/run.py $(if $(ONLY),--only $(ONLY)) $(if $(LONG),--long)

chaos: install ## Kill services and brokers under load, then count what was lost or doubled. BROKERS=3 has three brokers
	@$(python) -m nrmbus.play.chaos $(if $(BROKERS),--brokers $(BROKERS))

wheel: install ## Build the wheel that other machines install, in dist/
	@$(python) -m hatchling build --target wheel --directory dist

sbom: install ## Write what the wheel needs, with licences, in dist/ (CycloneDX)
	@$(python) .ci/sbom.py

settings: install ## Write deploy/SETTINGS.md again from the settings in the code
	@$(python) .ci/settings.py

rules: install ## Write the tables, pictures and procedures on the pages again, from the profile and the code
	@$(python) .ci/rules.py

docs: install ## Build one site of all pages in build/docs/site, with search; every link is checked
	@[ -x .stamps/docs/bin/python ] || { echo 'Fetching the generator of the site into .stamps/docs, once: 90 MB'; $(python) -m venv .stamps/docs; }
	@.stamps/docs/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r .ci/docs.txt
	@$(python) .ci/docs.py .stamps/docs/bin/python

pins: install ## Renew constraints.txt from what the package index has today
	@PYTHONS="$(PYTHONS)" $(python) .ci/pins.py

clean: ## Remove what make made here: .venv, caches, builds (Kafka and data stay in your XDG folders)
	@rm -rf .venv .stamps build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find services tests benchmarks .ci -name __pycache__ -type d -prune -exec rm -rf {} +
