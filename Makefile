# make run   - install what is pinned into .venv and run the study of config/config.yaml
# make run ARGS="--configfile config/paper.yaml -n"   - pass arguments on to snakemake
# make test  - install likewise and run all tests
# make docs  - build the documentation as a site in build/site
# make portability  - run the unit tests and the study as on other kinds of processors, and compare the tables
# make gpu-check  - on a machine with a GPU: golden states, speed, memory, shared use, in under eight minutes
# make rehearsal  - run the paper's configuration, download to report, against servers on 127.0.0.1 (needs nginx)
# make rehearsal-slice  - cut scattered cells out of 9 GB in the real screen's layout, from a server 50 ms away
# make test-slurm - run the study through a SLURM of one node, with a killed job and one that lacks memory (needs root)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= all
ARGS ?=
INSTALLED := .venv/installed

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: run test docs portability gpu-check rehearsal rehearsal-slice test-slurm check clean-results

run: $(INSTALLED)
	PYTHONPATH=workflow snakemake --logger layerscope --cores $(CORES) $(ARGS)

# unit tests share the cores; tests of the workflow run one at a time, each on two cores
test: $(INSTALLED)
	OMP_NUM_THREADS=1 pytest -n auto --dist loadfile tests/unit $(ARGS)
	pytest tests/workflow $(ARGS)

# broken links are errors
docs: $(INSTALLED)
	sphinx-build --quiet --fail-on-warning --keep-going -c docs -d build/doctrees . build/site $(ARGS)

# the unit tests, and the embedded study's tables, as processors with fewer instructions compute them
portability: $(INSTALLED)
	python tests/workflow/portability.py $(ARGS)

# its table and numbers are under build/gpu_check
gpu-check: $(INSTALLED)
	python benchmarks/gpu_check.py $(ARGS)

# what it made stays under build/rehearsal, the report in run/results
rehearsal: $(INSTALLED)
	@PATH="$$PATH:/usr/sbin" command -v nginx > /dev/null || { echo "make rehearsal needs nginx, which is not installed. Debian, Ubuntu: apt-get install nginx-light"; exit 1; }
	CORES=$(CORES) pytest -m rehearsal --durations=3 tests/rehearsal $(ARGS)

# LAYERSCOPE_SLICE_CELLS, _CHUNK and _DELAY (seconds) change the file and the server
rehearsal-slice: $(INSTALLED)
	pytest -m slow tests/rehearsal/test_scattered_slice.py $(ARGS)

# LAYERSCOPE_SLURM_STUDY=config/config.yaml runs the whole embedded study, not a part of it
test-slurm: $(INSTALLED)
	@PATH="$$PATH:/usr/sbin" command -v slurmctld munged > /dev/null || { echo "make test-slurm needs SLURM. Debian, Ubuntu: apt-get install --no-install-recommends slurm-wlm munge"; exit 1; }
	PATH="$$PATH:/usr/sbin" pytest -m slurm tests/slurm $(ARGS)

check: $(INSTALLED)
	ruff check
	ruff format --check
	snakefmt --check Snakefile workflow
	mypy
	snakemake --lint

# Bytecode is compiled here, on all cores, because imports of uncompiled packages take three times as long. One
# file of torch is for Python 3.12 alone and is left out.
$(INSTALLED): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed; say which with make PYTHON=...")'
	rm -rf .venv  # a link is removed, not what it points to
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.txt
	.venv/bin/python -m compileall -q -j 0 -x 'py312_intrinsics' .venv/lib
	touch $@

clean-results:
	rm -rf resources logs .snakemake
	find results -mindepth 1 ! -name README.md -delete
