# make analyze SCAN=scan.nii.gz OUT=folder   read a scan (without SCAN: a demonstration)
# make lint | test                           style and types; the tests that take a minute in all
# make test-slow                             the other tests
# make docs                                  the page that is drawn from the tables
# make test-wheel                            the package in an empty environment, without PyTorch
# make test-lowest                           the tests with the oldest dependencies that pyproject.toml admits
PYTHON ?= python3
VENV := .venv
# Two stamps: what analysing needs, which is without PyTorch, and everything.
ANALYZE := $(VENV)/.analyze
READY := $(VENV)/.ready
PIP := -m pip --disable-pip-version-check -qq
# A synthetic patient, as a scanner would send one; the truth about it lies beside the folder.
DEMO := build/phantom
LOWEST := build/lowest
WHEEL := build/wheel
MAX_INSTALLED_MB := 700

INPUT := $(if $(SCAN),$(SCAN),$(DEMO))
RESULT := $(if $(OUT),$(OUT),$(if $(SCAN),,build/demo))

.PHONY: analyze test test-slow lint docs test-lowest test-wheel

analyze: $(ANALYZE) $(if $(SCAN),,$(DEMO))
	$(VENV)/bin/spondyl analyze "$(INPUT)" $(if $(RESULT),--out "$(RESULT)") $(ARGS)

test: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -q -n 2 -m "not slow"

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -q -n 2 -m slow

docs: $(READY)
	$(VENV)/bin/python tests/architecture.py > docs/architecture.md

lint: $(READY)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

# PyTorch is the pinned one here too: of older releases the registry has no build for the CPU alone. Old releases may
# warn of what was deprecated since.
test-lowest:
	$(PYTHON) -m venv --clear $(LOWEST)
	$(PYTHON) tests/lowest_versions.py pyproject.toml > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python $(PIP) install -c constraints.txt torch
	$(LOWEST)/bin/python $(PIP) install -c constraints.txt -c $(LOWEST)/constraints.txt -e ".[train,dev]"
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -q -n 2 -W default

# The package as others get it: its size, no PyTorch, its weights, and a scan read outside the checkout.
test-wheel:
	$(PYTHON) -m venv --clear $(WHEEL)
	$(WHEEL)/bin/python $(PIP) wheel --no-deps --wheel-dir $(WHEEL)/dist .
	$(WHEEL)/bin/python $(PIP) install $(WHEEL)/dist/*.whl
	test $$(du -sm $(WHEEL)/lib | cut -f1) -le $(MAX_INSTALLED_MB)
	! $(WHEEL)/bin/python -c "import torch" 2> $(WHEEL)/no-torch
	spondyl="$$PWD/$(WHEEL)/bin/spondyl" && folder=$$(mktemp -d) && cd "$$folder" && \
	"$$spondyl" phantom scan.nii.gz --sequence t2 --variant regular && \
	"$$spondyl" analyze scan.nii.gz --out report && \
	"$$spondyl" evaluate report scan_truth.json && \
	rm -r "$$folder"

$(DEMO): | $(ANALYZE)
	mkdir -p $(@D)
	rm -f $@_*
	$(VENV)/bin/spondyl phantom $@ --format dicom --sequence t2 --variant regular

# Made anew only when what it depends on changes.
$(ANALYZE): pyproject.toml constraints.txt
	@echo "Installing Spondyl into $(VENV), about half a minute the first time ..."
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP) install --no-compile -c constraints.txt -e .
	@touch $@

# torch first, see constraints.txt
$(READY): $(ANALYZE)
	@echo "Adding PyTorch and what the tests need, about a minute the first time ..."
	@$(VENV)/bin/python $(PIP) install -c constraints.txt torch
	@$(VENV)/bin/python $(PIP) install -c constraints.txt -e ".[train,dev]"
	@touch $@
