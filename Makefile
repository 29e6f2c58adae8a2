# make demo   environment, pictures of a model that ships; then data, a model trained a few minutes ago, pictures, numbers
# make test   environment, format, lint, types, tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test results benchmark format clean

demo: $(VENV)/.installed
	$(BIN)/textvae generate fashion "a dress" "an ankle boot" "a sandal" --out shipped.png
	@echo "What a model that ships draws is in shipped.png."
	$(BIN)/textvae data fetch fashion-mnist
	$(BIN)/textvae train label-conv --out runs/label-conv
	$(BIN)/textvae generate runs/label-conv "a dress" "an ankle boot" "Make a shirt" --out demo.png
	@test -f runs/label-conv/metrics.json || $(BIN)/textvae evaluate runs/label-conv --num-samples 2000 > runs/demo.txt
	@cat runs/label-conv/README.md
	@echo "The pictures are in demo.png. All numbers: $(BIN)/textvae evaluate runs/label-conv"

test: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

# Trains and measures everything in RESULTS.md (hours).
results: $(VENV)/.installed-dev
	$(BIN)/textvae reproduce a --repository .
	$(BIN)/textvae reproduce b --repository .
	$(BIN)/textvae reproduce d --repository .

# Speed against others, taking turns on this machine (ten minutes; leave it alone meanwhile).
benchmark: $(VENV)/.installed-dev
	$(BIN)/textvae data fetch fashion-mnist
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/frechet_speed.py
	$(BIN)/python benchmarks/command_line.py
	$(BIN)/python benchmarks/coco_scale.py
	$(BIN)/python benchmarks/prepare_speed.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[features]"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[features,sentence,clip,dev]"
	@touch $@ $(VENV)/.installed
