# make demo        environment, images from a model that ships; then data, a model trained in minutes, images, numbers
# make test        format, lint, types, all tests
# make test-fast   the tests that take less than about a fifth of a second each, in a minute
# make test-robust attacks: mutated files, every crash point, full disks (ten minutes); not part of make test
# make coverage    all tests, with the lines that they do not run
# make docs        the documentation site, in site/
# make build       wheel and source archive, in dist/, their contents checked
# make format      ruff formats, and fixes what it can
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests share the cores: one thread each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

.PHONY: demo test test-fast test-robust coverage lint types data docs build results benchmark format clean

demo: $(VENV)/.installed
	$(BIN)/textvae generate flowers "a flower with pink petals and a yellow center" "a white flower" --out shipped.png
	@echo "What a model that ships draws is in shipped.png."
	$(BIN)/textvae data fetch fashion-mnist
	$(BIN)/textvae train label-conv --trainer.epochs 10 --out runs/demo
	$(BIN)/textvae generate runs/demo "a dress" "an ankle boot" "Make a shirt" --out demo.png
	@test -f runs/demo/metrics.json || $(BIN)/textvae evaluate runs/demo --num-samples 2000 > runs/demo.txt
	@cat runs/demo/README.md
	@echo "The pictures are in demo.png. All numbers: $(BIN)/textvae evaluate runs/demo"

test: lint types
	$(PYTEST)

# Without the runtime checks of shapes and types, which would take a quarter of the time.
test-fast: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow" -o addopts="-q --import-mode=importlib --strict-markers"

test-robust: $(VENV)/.installed-dev
	$(PYTEST) -m robust

coverage: $(VENV)/.installed-dev
	$(PYTEST) --cov --cov-report=term --cov-report=html

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# The data sets that tests use where they are there.
data: $(VENV)/.installed
	$(BIN)/textvae data fetch fashion-mnist
	$(BIN)/textvae data fetch mnist

docs: $(VENV)/.installed-docs
	$(BIN)/python docs/build_site.py

build: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python .ci/check_dist.py dist

# Trains and measures everything in RESULTS.md (days). The photographs are looked for in $TEXTVAE_DATA.
results: $(VENV)/.installed-dev
	mkdir -p runs
	for paper in a b c d flow; do \
		$(BIN)/textvae reproduce $$paper --dry-run > runs/$$paper.sh && \
		PATH="$(CURDIR)/$(BIN):$$PATH" sh -e runs/$$paper.sh && \
		$(BIN)/textvae reproduce $$paper --repository . || exit; \
	done

# Speed against others, taking turns on this machine (half an hour; leave it alone meanwhile).
benchmark: $(VENV)/.installed-dev
	$(BIN)/textvae data fetch fashion-mnist
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/frechet_speed.py
	$(BIN)/python benchmarks/command_line.py
	$(BIN)/python benchmarks/sampling_speed.py
	$(BIN)/python benchmarks/serve_load.py
	$(BIN)/python benchmarks/page_speed.py
	$(BIN)/python benchmarks/coco_scale.py
	$(BIN)/python benchmarks/prepare_speed.py
	$(BIN)/python benchmarks/distributed_speed.py
	$(BIN)/python benchmarks/memory_scale.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist site htmlcov .cache .coverage* .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[features]"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[features,sentence,clip,export,serve,hub,log,sprouts,dev]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[docs,export]"
	@touch $@
