# Two commands do everything on a fresh machine with Python >= 3.11, pip and make: `make run` and `make test`.

PYTHON ?= python3
UV_VERSION = 0.13.9
VENV = .venv
BIN = $(VENV)/bin
SOURCES = functions infra layers tests
BUILD_DIR = .aws-sam/build

# The processor that `make build` builds for: that of the template's default, or this machine's to run the result here.
HERE = $(subst aarch64,arm64,$(shell uname -m))
ARCH ?= arm64
run-built: ARCH = $(HERE)

.PHONY: run run-built test test-slow faults fuzz guards audit lint format validate build table dependencies bench setup lock clean

run: setup  ## the whole system at http://127.0.0.1:3000; ARGS="--live" for a real phone
	exec $(BIN)/python -m infra.local $(ARGS)

run-built: setup build .aws-sam/runtime/installed  ## the same from what `make build` makes, on python3.13
	exec $(BIN)/python -m infra.local --built $(ARGS)

test: setup $(VENV)-sam/installed $(VENV)-security/installed  ## everything but the slow tests; ARGS="-k name" for some
	$(BIN)/python -m pytest $(ARGS)

test-slow: setup  ## what takes real minutes: the default time limits, all refs of a QR
	$(BIN)/python -m pytest -m slow $(ARGS)

faults: setup  ## nothing kills a pairing: prints the table; ARGS="--runs 20" for more, ARGS="-k scan" for some
	$(BIN)/python -m tests.faults $(ARGS)

fuzz: setup  ## 20 000 requests of garbage, other ones each time; SEED=7 for those of that seed again
	FUZZ_SEED=$(or $(SEED),$(shell date +%s)) FUZZ_REQUESTS=20000 $(BIN)/python -m pytest -s tests/api/test_fuzz.py $(ARGS)

guards: setup  ## takes each guard out of a copy and sees a test fail; ARGS="tokens" for those with the word in their name
	$(BIN)/python -m tests.security.guards $(ARGS)

audit: setup $(VENV)-security/installed  ## known vulnerabilities of everything that is locked
	$(BIN)/python -m infra.build audit --pip-audit $(VENV)-security/bin/pip-audit

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

build: $(VENV)-sam/installed  ## what Lambda gets, in .aws-sam/build; ARCH=x86_64 for the other processor
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-west-1 ARCHITECTURE=$(ARCH) PYTHON="$(abspath $(VENV)-sam/bin/python)" \
		$(VENV)-sam/bin/sam build --build-dir $(BUILD_DIR) --parameter-overrides Architecture=$(ARCH)
	@$(VENV)-sam/bin/python -m infra.build pin $(BUILD_DIR)/template.yaml --architecture $(ARCH)
	@find $(BUILD_DIR) -name '*.pyc' | grep -q . || \
		echo "No python3.13 here (TARGET_PYTHON may name one): without bytecode the artifacts import more slowly."

table: setup .aws-sam/runtime/installed  ## sizes and import times of what was built
	$(BIN)/python -m infra.build table --build $(BUILD_DIR)

dependencies: setup  ## version, licence and weight of everything that was built in
	$(BIN)/python -m infra.build dependencies --build $(BUILD_DIR)

bench: setup  ## prints what the README claims about speed; WHAT=load, status, cleanup or cost for the others
	PYTHONPATH=layers/shared:layers/engine $(BIN)/python -m tests.bench$(addprefix .,$(WHAT))

setup: $(VENV)/installed

$(VENV)/installed: requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $<
	touch $@

$(VENV)-sam/installed: requirements/sam.txt
	$(PYTHON) -m venv $(VENV)-sam
	$(VENV)-sam/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $<
	touch $@

$(VENV)-security/installed: requirements/security.txt
	$(PYTHON) -m venv $(VENV)-security
	$(VENV)-security/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $<
	touch $@

# What Lambda's image brings, for running the artifacts here.
.aws-sam/runtime/installed: requirements/runtime.txt
	$(BIN)/python -m infra.build runtime --target $(@D)
	touch $@

# Universal: one lock for every Python from 3.11. The layers' locks are for what Lambda runs.
LOCK = $(VENV)-lock/bin/uv pip compile pyproject.toml --quiet --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links

lock:  ## pyproject.toml -> requirements/*.txt
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --only-binary :all: uv==$(UV_VERSION)
	$(LOCK) --universal --python-version 3.11 --extra shared --extra engine --extra runtime --extra local --extra dev \
		-o requirements/dev.txt
	$(LOCK) --universal --python-version 3.11 --extra sam -o requirements/sam.txt
	$(LOCK) --universal --python-version 3.11 --extra security -o requirements/security.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 -c requirements/dev.txt --extra shared \
		-o layers/shared/requirements.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 -c requirements/dev.txt --extra engine \
		-o layers/engine/requirements.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 -c requirements/dev.txt --extra runtime \
		-o requirements/runtime.txt

clean:  ## everything that setup, tests and runs have made
	rm -rf $(VENV) $(VENV)-sam $(VENV)-security $(VENV)-lock .local .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
