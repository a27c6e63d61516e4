# The one recipe for every layer and function of template.yaml. SAM's makefile builder calls it with a copy of the
# layer's or function's folder as working directory and ARTIFACTS_DIR as destination.
# It gives no architecture: ARCHITECTURE must say the same as the template's parameter, as `make build` sees to.

ARCHITECTURE ?= arm64
PYTHON ?= python3
ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../..)
BUILD = PYTHONPATH="$(ROOT)" "$(PYTHON)" -m infra.build

build-%Layer:
	$(BUILD) layer "$(CURDIR)" "$(ARTIFACTS_DIR)" --architecture $(ARCHITECTURE)

build-%Function:
	$(BUILD) function "$(CURDIR)" "$(ARTIFACTS_DIR)"
