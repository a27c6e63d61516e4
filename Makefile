# Two commands do everything on a fresh machine with Python >= 3.11, pip and make: `make run` and `make test`.
# `make help` lists the rest.

PYTHON ?= python3
UV_VERSION = 0.13.9
VENV = .venv
BIN = $(VENV)/bin
SOURCES = functions infra layers tests
BUILD_DIR = .aws-sam/build

# `make build` builds for the processor of the template's default. `make run-built` builds for this machine's processor,
# because it runs the result here.
HERE = $(subst aarch64,arm64,$(shell uname -m))
ARCH ?= arm64
run-built: ARCH = $(HERE)

# A shell may have variables of Python, pip, pytest, Postgres and AWS that are meant for other work. No command gets the
# DROPPED variables. PIP_USER would install outside .venv, PYTHONOPTIMIZE would remove the asserts from the tests, and
# PGSSLMODE would keep the tests away from their own Postgres. The KEPT variables say where and how pip gets its packages.
# The local system keeps even fewer variables (infra/local/environment.py).
DROPPED = PYTHON% PIP_% PYTEST_% VIRTUAL_ENV CONDA_% MYPYPATH PG% DATABASE_URL AWS_% SAM_% POWERTOOLS_%
KEPT = PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX PIP_TRUSTED_HOST PIP_CERT PIP_CLIENT_CERT PIP_PROXY \
	PIP_TIMEOUT PIP_DEFAULT_TIMEOUT PIP_RETRIES PIP_CACHE_DIR PIP_NO_CACHE_DIR PIP_CONFIG_FILE PIP_KEYRING_PROVIDER \
	PIP_ROOT_USER_ACTION
unexport $(filter-out $(KEPT),$(filter $(DROPPED),$(.VARIABLES)))

# These variables hold text, not commands. Recipes read them as variables of the shell. If make wrote them into the
# shell's line, VERSION='`ls`' would run ls. A shell may have a VERSION for other work, so only the command line gives it.
TEXTS = VERSION POSTGRES SEED WHAT ARCH BUILD_DIR TARGET_PYTHON
export $(TEXTS)
on_command_line = $(filter command,$(firstword $(origin $1)))
$(foreach name,$(TEXTS),$(if $(call on_command_line,$(name)),$(eval override $(name) := $$(value $(name)))))
$(if $(call on_command_line,VERSION),,$(eval VERSION :=))

.PHONY: run run-built test test-postgres test-slow faults fuzz guards audit lint format validate build table dependencies \
	bench pictures engine setup lock clean sam-tools security-tools rehearsal-tools rehearse release help

##@ Run

run: setup  ## the whole system at http://127.0.0.1:3000; ARGS="--live" for a real phone
	exec $(BIN)/python -m infra.local $(ARGS)

run-built: setup build .aws-sam/runtime/installed  ## the same system from the artifacts of `make build`, on python3.13
	exec $(BIN)/python -m infra.local --built $(ARGS)

##@ Test

test: setup sam-tools security-tools  ## everything but the slow tests; ARGS="-k name" for some
	@echo "Running the tests (about 20 minutes on 2 cores) ..."
	$(BIN)/python -m pytest $(ARGS)

# The tests that call the database themselves. All others reach it through the whole system, by the same statements.
POSTGRES_TESTS = tests/database tests/handlers tests/tools/migrate tests/system/security tests/system/engine \
	tests/system/model

test-postgres: setup  ## the database's tests on another version: POSTGRES=15, 16, 17 or 18, or a folder of programs
	@case "$$POSTGRES" in "") echo "POSTGRES=15, 16, 17 or 18 chooses the version." >&2; exit 2 ;; esac
	TEST_POSTGRES="$$POSTGRES" $(BIN)/python -m pytest $(POSTGRES_TESTS) $(ARGS)

test-slow: setup  ## the slow tests: tests/README.md lists them
	$(BIN)/python -m pytest -m slow $(ARGS)

rehearse: setup  ## `sam deploy` to an AWS without Docker, a pairing, an update, a rollback and `sam delete`
	@$(BIN)/python -m infra.build python
	$(BIN)/python -m pytest -m slow tests/tools/build/test_rehearsal.py $(ARGS)

faults: setup  ## disturbs pairings, and writes tests/reliability.md; ARGS="-k scan" for some, without the file
	$(BIN)/python -m tests.system.faults $(ARGS)

fuzz: setup  ## sends 20,000 random requests; SEED=7 repeats those of that seed
	FUZZ_SEED="$${SEED:-$$(date +%s)}" FUZZ_REQUESTS=20000 $(BIN)/python -m pytest -s tests/system/contract/test_fuzz.py $(ARGS)

guards: setup  ## removes each guard in a copy, and a test must fail; ARGS="tokens" for those of that name
	$(BIN)/python -m tests.system.guards $(ARGS)

engine: setup  ## VERSION=0.5.3: tries that neonize in a copy; upgrades, sizes, tests (about 30 minutes)
	$(BIN)/python -m infra.engine_version "$$VERSION" $(ARGS)

bench: setup  ## writes tests/bench/figures.md; WHAT=exchanges, load, status, cleanup or cost measures one only
	PYTHONPATH=layers/shared:layers/engine $(BIN)/python -m "tests.bench$${WHAT:+.$$WHAT}" $(ARGS)

pictures: setup  ## the strip of screenshots at the top of README, from a real pairing in Chromium
	PYTHONPATH=layers/shared:layers/engine $(BIN)/python -m tests.system.browser.pictures

##@ Check

lint: setup  ## ruff, mypy, and the links of the documents
	$(BIN)/python -m ruff check $(SOURCES)
	$(BIN)/python -m ruff format --check $(SOURCES)
	$(BIN)/python -m mypy layers/shared/whatsapp_pairing layers/engine/whatsapp_engine infra
	@for function in functions/*/app.py; do $(BIN)/python -m mypy $$function || exit 1; done
	$(BIN)/python -m infra.documents

format: setup  ## mends what ruff can mend
	$(BIN)/python -m ruff check --fix $(SOURCES)
	$(BIN)/python -m ruff format $(SOURCES)

validate: sam-tools  ## sam validate --lint, for each template; what sam deploy would ignore in samconfig.toml
	@$(VENV)-sam/bin/python -m infra.build samconfig samconfig.toml template.yaml
	$(SAM) validate --lint
	$(SAM) validate --lint --template infra/stack/alarms.yaml

audit: setup security-tools  ## known vulnerabilities of everything that is locked
	$(BIN)/python -m infra.build audit --pip-audit $(VENV)-security/bin/pip-audit

##@ Build and release

# SAM runs another make with the recipe. That make must not inherit PYTHON=... and the like from this command line.
build: sam-tools  ## the artifacts for Lambda, in .aws-sam/build; ARCH=x86_64 for the other processor
	@case "$$ARCH$(if $(filter command,$(origin ARCHITECTURE)),?)" in arm64 | x86_64) ;; \
		*) echo "ARCH=arm64 or ARCH=x86_64 chooses the processor." >&2; exit 2 ;; esac
	@$(VENV)-sam/bin/python -m infra.build samconfig samconfig.toml template.yaml
	@echo "Building for $$ARCH into $$BUILD_DIR (about 2 minutes) ..."
	MAKEFLAGS= MFLAGS= MAKELEVEL= ARCHITECTURE="$$ARCH" PYTHON="$$PWD/$(VENV)-sam/bin/python" \
		$(SAM) build --build-dir "$$BUILD_DIR" --parameter-overrides "Architecture=$$ARCH"
	@$(VENV)-sam/bin/python -m infra.build pin "$$BUILD_DIR/template.yaml" --architecture "$$ARCH"
	@find "$$BUILD_DIR" -name '*.pyc' | grep -q . || \
		echo "No python3.13 here (TARGET_PYTHON may name one): without bytecode the artifacts import more slowly."

table: setup .aws-sam/runtime/installed  ## writes infra/build/sizes.md: sizes and import times of what was built
	$(BIN)/python -m infra.build table --build "$$BUILD_DIR"

dependencies: setup  ## writes infra/build/shipped.md: version, licence and weight of each package
	$(BIN)/python -m infra.build dependencies --build "$$BUILD_DIR"

release: setup  ## VERSION=1.2.3: sets the version, dates the changelog, writes tests/releases, commits and tags
	PYTHONPATH=layers/shared $(BIN)/python -m infra.release cut "$$VERSION"

##@ Environments and locks

MAKE_VENV = PYTHON="$(PYTHON)" NAMED=$(filter command environment,$(origin PYTHON)) sh infra/venv.sh
SAM = SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-west-1 $(VENV)-sam/bin/python -m samcli

setup:  ## .venv, with what run and test need
	@$(MAKE_VENV) $(VENV) requirements/dev.txt "the tools of run, test and lint (about 2 minutes)"

sam-tools:  ## .venv-sam, with what validate and build need
	@$(MAKE_VENV) $(VENV)-sam requirements/sam.txt "sam-cli (about 1 minute)"

security-tools:  ## .venv-security, with what audit and test need
	@$(MAKE_VENV) $(VENV)-security requirements/security.txt "checkov and pip-audit (about 1 minute)"

# ministack runs functions with its own Python, so this environment has Lambda's.
rehearsal-tools:  ## .venv-rehearsal, with what rehearse needs: python3.13, or the one that TARGET_PYTHON names
	@PYTHON="$${TARGET_PYTHON:-python3.13}" sh infra/venv.sh $(VENV)-rehearsal requirements/rehearsal.txt \
		"ministack (about 1 minute)"

# The packages of Lambda's image, with which the artifacts run here.
.aws-sam/runtime/installed: requirements/runtime.txt | setup
	@echo "Installing what Lambda's image has into $(@D) ..."
	$(BIN)/python -m infra.build runtime --target $(@D)
	touch $@

# The first three locks are universal: they fit every Python from 3.11. The other four are for Lambda's Python.
LOCK = $(VENV)-lock/bin/uv pip compile pyproject.toml --quiet --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links

lock:  ## pyproject.toml -> requirements/*.txt
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --only-binary :all: uv==$(UV_VERSION)
	$(LOCK) --universal --python-version 3.11 --extra shared --extra engine --extra runtime --extra local --extra dev \
		-o requirements/dev.txt
	$(LOCK) --universal --python-version 3.11 --extra sam -o requirements/sam.txt
	$(LOCK) --universal --python-version 3.11 --extra security -o requirements/security.txt
	$(LOCK) --universal --python-version 3.13 --extra rehearsal -o requirements/rehearsal.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 -c requirements/dev.txt --extra shared \
		-o layers/shared/requirements.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 -c requirements/dev.txt --extra engine \
		-o layers/engine/requirements.txt
	$(LOCK) --python-version 3.13 --python-platform aarch64-manylinux_2_28 -c requirements/dev.txt --extra runtime \
		-o requirements/runtime.txt

# Under root, .local/postgres may be a link to a folder in /var/lib (infra/postgres/account.py). Remove that folder too.
clean:  ## removes everything that setup, tests and runs have made
	@for link in .local/postgres*; do case "$$(readlink "$$link")" in \
		/var/lib/whatsapp-pairing/*) rm -rf "$$(readlink "$$link")" ;; esac; done
	rm -rf $(VENV) $(VENV)-sam $(VENV)-security $(VENV)-rehearsal $(VENV)-lock .engine .local .aws-sam
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk 'BEGIN { FS = ":.*  ## " } /^##@ / { printf "%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*  ## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile
