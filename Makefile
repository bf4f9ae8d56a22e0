# make analyze SCAN=scan.nii.gz OUT=folder   read a scan (without SCAN: a demonstration)
# make test | lint                           what .ci/run runs
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
PIP := $(VENV)/bin/python -m pip -qq --disable-pip-version-check
# A synthetic patient, as a scanner would send one; the truth about it lies beside the folder.
DEMO := build/phantom

INPUT := $(if $(SCAN),$(SCAN),$(DEMO))
RESULT := $(if $(OUT),$(OUT),$(if $(SCAN),,build/demo))

.PHONY: analyze test lint

analyze: $(READY) $(if $(SCAN),,$(DEMO))
	$(VENV)/bin/spondyl analyze "$(INPUT)" $(if $(RESULT),--out "$(RESULT)") $(ARGS)

test: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -q -n 2

lint: $(READY)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

$(DEMO): | $(READY)
	mkdir -p $(@D)
	rm -f $@_*
	$(VENV)/bin/spondyl phantom $@ --format dicom --sequence t2 --variant regular

# Made anew only when what it depends on changes; torch first, see constraints.txt.
$(READY): pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e ".[train,dev]"
	touch $@
