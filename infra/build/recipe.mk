# The one recipe for every layer and function of template.yaml. SAM's makefile builder calls it with a copy of the
# layer's or function's folder as working directory and ARTIFACTS_DIR as destination.
# SAM passes no architecture. So ARCHITECTURE must be equal to the template's parameter; `make build` sets both.
# The shell reads every path from the environment, because make splits a path at its spaces.

ARCHITECTURE ?= arm64
PYTHON ?= python3
export ARCHITECTURE PYTHON
export RECIPE := $(MAKEFILE_LIST)
BUILD = source=$$PWD && cd "$$(dirname "$${RECIPE\# }")/../.." && PYTHONSAFEPATH= exec "$$PYTHON" -m infra.build

build-%Layer:
	$(BUILD) layer "$$source" "$$ARTIFACTS_DIR" --architecture "$$ARCHITECTURE"

build-%Function:
	$(BUILD) function "$$source" "$$ARTIFACTS_DIR"
