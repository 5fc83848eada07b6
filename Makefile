# SPDX-License-Identifier: MIT
# `make run` decides the claims; `make test` runs the tests. Both install what is missing: packages
# of the host with apt-get, Python packages in .venv. Kernels and images are built in the cache.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.stamp
PACKAGES := qemu-system-x86 gcc make libc6-dev util-linux zstd python3-venv busybox-static dropbear-bin bubblewrap
# Commands of these packages. The target `packages` checks libc6-dev and python3-venv separately.
COMMANDS := qemu-system-x86_64 gcc make setpriv zstd busybox dropbear bwrap
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

.PHONY: run test soak setup packages clean

run: setup # decide the claims on the default kernel and implementations
	$(VENV)/bin/tsm-harness run

test: setup # run the tests with tox
	$(VENV)/bin/tox

SOAK_MINUTES ?= 5
SOAK_SEED ?= 0
soak: setup # repeat runs under kills, full disks, floods and faults; print the table of figures
	$(VENV)/bin/python -m tests.soak --minutes $(SOAK_MINUTES) --seed $(SOAK_SEED)

setup: $(STAMP) # install packages of the host, and create or update .venv

packages:
	@PATH="$$PATH:/usr/sbin:/sbin"; missing=""; \
	for name in $(COMMANDS); do command -v $$name > /dev/null || missing="$$missing $$name"; done; \
	test -e /usr/include/stdio.h || missing="$$missing libc6-dev"; \
	$(PYTHON) -c 'import ensurepip' 2> /dev/null || missing="$$missing python3-venv"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ -n "$(SUDO)" ] && ! command -v $(SUDO) > /dev/null; then \
		echo "error: not installed:$$missing" >&2; \
		echo "hint: as root, run: apt-get install $(PACKAGES)" >&2; exit 1; \
	fi; \
	echo "Not installed:$$missing. Installing $(PACKAGES)"; \
	$(SUDO) apt-get update -q && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(PACKAGES)

# pyproject.toml lists the dependencies, the packages and the entry points. When it is newer than the
# last installation, for example after `git pull`, pip installs the project again. An environment of
# an older Python is replaced. pip is not silenced: it takes a minute or two, and shows what it does.
$(STAMP): pyproject.toml | packages
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)' || { \
		echo "error: $$($(PYTHON) --version) is too old: tsm-harness needs Python 3.11" >&2; \
		echo "hint: name a newer one: make PYTHON=python3.11" >&2; exit 1; }
	@test -e $(VENV)/bin/python && $(VENV)/bin/python -c '$(IS_NEW_ENOUGH)' 2> /dev/null || \
		rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check --editable '.[dev]'
	touch $@

clean: # remove .venv and .tox; `tsm-harness images prune` empties the cache
	rm -rf $(VENV) .tox
