# Two commands do everything on a fresh machine with Python >= 3.11, pip and make: `make run` and `make test`.

PYTHON ?= python3
UV_VERSION = 0.13.9
VENV = .venv
BIN = $(VENV)/bin
SOURCES = functions infra layers tests

.PHONY: run test test-slow lint format validate bench setup lock clean

run: setup  ## the whole system at http://127.0.0.1:3000; ARGS="--live" for a real phone
	exec $(BIN)/python -m infra.local $(ARGS)

test: setup  ## everything but the slow tests; ARGS="-k name" for some
	$(BIN)/python -m pytest $(ARGS)

test-slow: setup  ## what takes real minutes: the default time limits, all refs of a QR
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: setup  ## ruff and mypy
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy layers/shared/whatsapp_pairing layers/engine/whatsapp_engine infra
	@for function in functions/*/app.py; do $(BIN)/mypy $$function || exit 1; done

format: setup  ## what ruff can mend by itself
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

validate: $(VENV)-sam/installed  ## sam validate --lint
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-west-1 $(VENV)-sam/bin/sam validate --lint

bench: setup  ## prints what the README claims about speed
	$(BIN)/python -m tests.bench

setup: $(VENV)/installed

$(VENV)/installed: requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@

$(VENV)-sam/installed: requirements/sam.txt
	$(PYTHON) -m venv $(VENV)-sam
	$(VENV)-sam/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@

# Universal: one lock for every Python from 3.11. The layers' locks are for what Lambda runs.
LOCK = $(VENV)-lock/bin/uv pip compile pyproject.toml --quiet --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links

lock:  ## pyproject.toml -> requirements/*.txt
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet uv==$(UV_VERSION)
	$(LOCK) --universal --python-version 3.11 --extra shared --extra engine --extra runtime --extra local --extra dev \
		-o requirements/dev.txt
	$(LOCK) --universal --python-version 3.11 --extra sam -o requirements/sam.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 -c requirements/dev.txt --extra shared \
		-o layers/shared/requirements.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 -c requirements/dev.txt --extra engine \
		-o layers/engine/requirements.txt

clean:  ## everything that setup, tests and runs have made
	rm -rf $(VENV) $(VENV)-sam $(VENV)-lock .local .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
