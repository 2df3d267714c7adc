# `make book` and `make test`: each sets up all that it needs.

PYTHON ?= python3
BIN := .venv/bin
# The library is run from here, not installed: a notebook always meets the code beside it.
export PYTHONPATH := $(CURDIR)

NOTEBOOKS := $(sort $(wildcard book/*/*.ipynb))
LIBRARY := $(shell find attn_lib -type f -not -path '*/__pycache__/*') benchmarks/mechanisms.json
PAGES := _config.yml _toc.yml $(shell find book -type f -not -path '*/.*' -not -path '*/__pycache__/*')

TORCH := 2.13.0

.PHONY: book test beside browser bench evidence outputs format hooks lock clean

book: _build/.book
	@echo "The book is built. Open file://$(CURDIR)/_build/html/index.html"

# Notebooks run alone, away from the repository, with the library as pip installs it, as on Colab.
test: .venv/.ready browser _build/.book
	$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check . && $(BIN)/mypy --no-error-summary
	$(BIN)/python -m pytest tests
	rm -rf _build/alone && mkdir -p _build/alone && cp book/conftest.py $(NOTEBOOKS) _build/alone
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --target _build/site --upgrade .
	cd _build/alone && PYTHONPATH=$(CURDIR)/_build/site PYTHONSAFEPATH=1 $(CURDIR)/$(BIN)/python -c \
	  'import attn_lib; assert "/_build/site/" in attn_lib.__file__, attn_lib.__file__'
	PYTHONPATH=$(CURDIR)/_build/site PYTHONSAFEPATH=1 $(BIN)/python -m pytest --nbval _build/alone

# Side-by-side measurements, which the book shows; not a test, for no machine is quiet enough.
bench: .venv/.ready
	$(BIN)/python benchmarks/mechanisms.py --json benchmarks/mechanisms.json --memory

# Every training that the book quotes, anew, and whether the numbers agree with those that ship: some hours.
# What is in the folder already is not made again, so it may be stopped.
evidence: .venv/.ready
	mkdir -p evidence
	$(BIN)/python -m attn_lib.lab.comparison --folder evidence
	$(BIN)/python -m attn_lib.lab.vit_digits --folder evidence
	$(BIN)/python -m attn_lib.lab.verification --folder evidence
	$(BIN)/python -m attn_lib.lab.agreement evidence

# The library's tests beside another torch, in an environment of its own: make beside TORCH=2.9.1
beside:
	test -x .venv-$(TORCH)/bin/python || $(PYTHON) -m venv .venv-$(TORCH)
	.venv-$(TORCH)/bin/python -m pip install -q --disable-pip-version-check torch==$(TORCH) torchvision ".[test]"
	.venv-$(TORCH)/bin/python -m pytest tests --ignore tests/test_book.py --ignore tests/test_text.py \
	  --ignore-glob 'tests/test_*page*.py' --ignore-glob 'tests/test_attention_explorer_*.py'

# Run the notebooks anew and store the text that tests compare.
outputs: .venv/.ready
	$(BIN)/python book/_ext/store_outputs.py $(NOTEBOOKS)

format: .venv/.ready
	$(BIN)/ruff check -q --fix . && $(BIN)/ruff format -q .

# At every commit: ruff, its formatter, codespell, and notebooks that hold text alone.
hooks: .venv/.ready
	$(BIN)/pre-commit install

# requirements.txt anew: exact versions for every Python from 3.10 on. torch is chosen by hand, and
# brings the CUDA packages that fit the machine by itself.
lock: .venv/.ready
	$(BIN)/pip install -q uv
	echo torch==$(TORCH) | $(BIN)/uv pip compile --universal --python-version 3.10 pyproject.toml \
	  --extra book --extra test --constraint - --no-header --no-annotate --no-emit-index-url -q \
	  | grep -vE '^(nvidia|cuda|triton)' > requirements.new
	mv requirements.new requirements.txt

clean:
	rm -rf .venv* _build

.venv/.ready: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

# Browser tests take the system's Chromium; without one, a copy of their own.
browser: .venv/.ready
	@command -v chromium chromium-browser google-chrome > /dev/null || $(BIN)/playwright install chromium

# The cache of executed notebooks knows their code, not what that reads: begin again when that changed.
_build/.library: $(LIBRARY) requirements.txt
	rm -rf _build
	@mkdir -p _build && touch $@

_build/.book: .venv/.ready _build/.library $(PAGES)
	$(BIN)/jupyter-book build book --config _config.yml --toc $(CURDIR)/_toc.yml --path-output . -q -W -n --keep-going
	@touch $@
