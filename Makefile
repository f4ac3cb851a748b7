# Each target sets up what it needs, and starts at once the second time.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
KAFKA := .kafka/libs
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help setup demo test test-system check bench soak kafka sanitize bench-engine bench-scene bench-viewer
.DELETE_ON_ERROR:

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

setup: $(READY)  ## .venv with everything the project needs

$(READY): requirements.txt requirements-dev.txt requirements-torch.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one with: make PYTHON=python3.11"; exit 2; }
	@test -x $(RUN) || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "error: no virtual environment could be made; on Debian: apt-get install python3-venv"; exit 2; }; }
	@$(RUN) -c 'import torch' 2>/dev/null || \
	  { echo "installing torch (once; a minute or more)"; $(PIP) -r requirements-torch.txt; }
	@echo "installing the other packages (once)"
	@$(PIP) -r requirements.txt -r requirements-dev.txt
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

demo: $(READY)  ## a town after a collapse: trained, viewed, adapted and scored, through the service
	@$(RUN) scripts/demo.py

test: $(READY)  ## everything that needs no service, no browser and no GPU
	@$(RUN) -m pytest -m "not system and not gpu" -n 2

test-system: $(READY)  ## whole commands from end to end, and services
	@$(RUN) -m pytest -m "system and not gpu"

check: $(READY)  ## style and types
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

bench: $(READY) $(KAFKA)/.ready  ## measurements of this machine; no verdict on a time
	@$(RUN) -m bench.data
	@$(RUN) -m bench.service

soak: $(READY) $(KAFKA)/.ready  ## the service under every fault, in full size and at random, for half an hour
	@$(RUN) -m pytest -s tests/soak/soak_large.py tests/soak/soak_chaos.py

kafka: $(KAFKA)/.ready  ## Apache Kafka for ./scripts/kafka_node.py and make test-system (Java 17, Maven)

$(KAFKA)/.ready: deploy/kafka/pom.xml
	@command -v mvn >/dev/null || { echo "error: Maven is needed once, to fetch Apache Kafka; on Debian: apt-get install maven"; exit 2; }
	@echo "fetching Apache Kafka (once; 43 MB)"
	@rm -rf $(KAFKA).partial && mvn --quiet --batch-mode -Dstyle.color=never --file $< dependency:copy-dependencies \
	  -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(KAFKA).partial
	@rm -rf $(KAFKA) && mv $(KAFKA).partial $(KAFKA) && touch $@

CXX_FOUND = $(or $(shell command -v $(CXX)),$(shell command -v g++),$(shell command -v clang++))

sanitize:  ## the cpu engine's operations under the address and undefined-behaviour sanitizers
	@mkdir -p build
	@$(CXX_FOUND) -std=c++17 -O1 -g -march=native -Wall -Wextra -Werror -Wno-psabi -pthread \
	  -fsanitize=address,undefined -fno-sanitize-recover=all tests/native/kernels_test.cpp -o build/kernels_test
	@build/kernels_test

bench-scene: $(READY)  ## training, adaptation and rendering on a real flight and the town; 25 minutes
	@$(RUN) -m bench.scene

bench-engine: $(READY)  ## the field engine against a plain yardstick and the machine's roofline
	@$(RUN) -m bench.engine

bench-viewer: $(READY)  ## the page of a view job, as an operator meets it; 25 minutes
	@$(RUN) -m bench.viewer
