# SPDX-License-Identifier: MIT
# The two commands are `make run` and `make test`; everything lands in .venv and the cache.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.stamp
PACKAGES := qemu-system-x86 gcc make libc6-dev util-linux zstd python3-venv busybox-static dropbear-bin coccinelle
# What each of the packages above is needed for, as a command that must be there.
NEEDED := qemu-system-x86_64 gcc make setpriv zstd busybox dropbear spatch
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: run test setup packages clean

run: setup ## set up what is missing, then decide every claim
	$(VENV)/bin/tsm-harness run

test: setup ## the tests, through tox
	$(VENV)/bin/tox

setup: packages $(STAMP) ## packages of the host and the virtual environment

packages:
	@PATH="$$PATH:/usr/sbin:/sbin"; missing=""; \
	for tool in $(NEEDED); do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	test -e /usr/include/stdio.h || missing="$$missing libc6-dev"; \
	$(PYTHON) -c 'import ensurepip' 2> /dev/null || missing="$$missing python3-venv"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ -n "$(SUDO)" ] && ! command -v $(SUDO) > /dev/null; then \
		echo "missing:$$missing; as root: apt-get install $(PACKAGES)" >&2; exit 1; \
	fi; \
	echo "installing packages (missing:$$missing)"; \
	$(SUDO) apt-get update -q && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(PACKAGES)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -qq --disable-pip-version-check --editable '.[dev]'
	touch $@

clean: ## remove the virtual environments; the cache stays (tsm-harness images prune)
	rm -rf $(VENV) .tox
