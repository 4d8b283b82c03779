# Everything below needs git, make and Python 3.11+; uv is put into .uv/ where it is missing.
#   make demo                 play through the demo; ARGS=--once stops at the end
#   make test ARGS="-k bmmal" run the tests
#   make lint                 ruff, mypy, import contracts
#   make faults               break everything on purpose, write docs/faults.md (hours)
#   make templates            play 23 templates of Label Studio, two rounds each
#   make compat               upstream's and Label Studio's own tests against us
#   make ray                  rounds and replays on Ray nodes of this machine (minutes); EQUIPOISE_RAY_KILLS=10 kills more
#   make mutants              break lines one by one: which do the tests notice? (hours)
#   make evidence             replay public data with every strategy, write docs/evidence.md
#   make paper FIGURE=bmmal-fig4 DATA=ROOT   a table or figure of the papers, see docs/papers.md
#   make upgrade              move every pin to the newest allowed version, then run the tests
#   make clean                remove environments, demo data and caches

PYTHON ?= python3
UV := $(or $(shell command -v uv 2>/dev/null),$(CURDIR)/.uv/bin/uv)
export EQUIPOISE_UV := $(UV)
# Every round is a process of its own: without bytecode on disk each start takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint format evidence faults templates compat ray mutants paper upgrade clean

demo: $(UV)
	$(UV) run --no-dev equipoise demo $(ARGS)

test: $(UV)
	$(UV) run --extra postgres pytest -n auto --maxprocesses 4 --dist loadgroup $(ARGS)

lint: $(UV)
	$(UV) run ruff check .
	$(UV) run ruff format --check .
	$(UV) run mypy
	$(UV) run lint-imports

format: $(UV)
	$(UV) run ruff check --fix .
	$(UV) run ruff format .

evidence: $(UV)
	nice $(UV) run python -m experiments.evidence $(ARGS)

paper: $(UV)
	nice $(UV) run python -m experiments.papers "$(FIGURE)" --data "$(DATA)" $(ARGS)

mutants: $(UV)
	nice $(UV) run --extra postgres python -m tests.mutants $(ARGS)

templates: $(UV)
	EQUIPOISE_TEMPLATES=all $(UV) run --extra postgres pytest tests/e2e/test_levels.py $(ARGS)

FAULTS := build/faults.jsonl
faults: $(UV)
	mkdir -p build && rm -f $(FAULTS)
	EQUIPOISE_FAULTS=full EQUIPOISE_FAULTS_REPORT=$(CURDIR)/$(FAULTS) \
	  $(UV) run --extra postgres pytest tests/faults -s $(ARGS)
	$(UV) run python -m tests.faults.report $(FAULTS)

compat: $(UV)
	EQUIPOISE_COMPAT=1 $(UV) run --extra postgres pytest tests/compat -s $(ARGS)

ray: $(UV)
	EQUIPOISE_RAY=1 $(UV) run --extra postgres --extra ray pytest tests/backend/rounds/test_ray.py \
	  tests/experiments/test_ray.py $(ARGS)

upgrade: $(UV)
	$(PYTHON) .ci/upgrade.py "$(UV)"
	rm -rf .labelstudio
	$(MAKE) lint test

clean:
	rm -rf .venv .uv .demo .labelstudio .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache build dist

$(CURDIR)/.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv --clear .uv
	.uv/bin/python -m pip install --quiet uv
