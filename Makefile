# make demo: install into .venv, then turn "a red mushroom" into a mesh, a turntable and a report.
# make test: install into .venv, then run every test.
# PYTHON=python3.12 chooses the interpreter, PIP="--index-url ..." adds options to pip.

PYTHON ?= python3
PIP ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint install clean

demo: install
	$(BIN)/suite text_to_3d prompt="a red mushroom"

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "Debian keeps venv in a package of its own: apt-get install python3-venv" >&2; \
	  test "$$(id -u)" = 0 && apt-get update -q && apt-get install -yq python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/pip install $(PIP) -q -c constraints.txt torch
	$(BIN)/pip install $(PIP) -q -c constraints.txt -e '.[dev,tensorboard,joblib,viewer]'
	@$(BIN)/python -c "import open3d" 2> /dev/null || { \
	  echo "Open3D needs libraries of the system: apt-get install libusb-1.0-0 libgl1 libgomp1" >&2; \
	  test "$$(id -u)" = 0 && apt-get update -q && apt-get install -yq libusb-1.0-0 libgl1 libgomp1 || true; }
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
