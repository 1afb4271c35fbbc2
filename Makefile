# Everything a fresh clone needs is done by these targets, and none of it twice.
PY ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
OUT ?= runs/demo
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
# Without an NVIDIA driver take torch's small CPU build; where its index cannot be reached, pip says so and goes on.
ACCEL ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo cuda || echo cpu)
CPU_INDEX = --extra-index-url https://download.pytorch.org/whl/cpu
PIP = $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: demo test test-all check clean

demo: $(READY)  ## from nothing to posterior figures on Marmousi: runs/demo/report.html
	$(BIN)/seispost demo --out "$(OUT)"

test: $(READY)  ## the test suite (the slow ones: make test-all)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

test-all: $(READY)  ## every test, those that kill processes and start several included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "slow or not slow"

check: $(READY)  ## style, types, import rules, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos

$(READY): pyproject.toml constraints.txt
	@command -v gcc >/dev/null || { echo "seispost needs gcc (Devito compiles with it): apt-get install gcc"; exit 1; }
	@echo "Setting up $(VENV): about 1.3 GB of Python packages, once"
	@test -x $(BIN)/python || $(PY) -m venv $(VENV) || { echo "seispost needs venv: apt-get install python3-venv"; exit 1; }
	$(PIP) $(if $(filter cpu,$(ACCEL)),--no-deps --retries 1 --timeout 20 $(CPU_INDEX)) "$(TORCH)"
	$(PIP) -c constraints.txt "$(TORCH)" -e ".[test,check]"
	@touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
