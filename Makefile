# `make book` and `make test`: each sets up all that it needs. `make quick`: before every commit.

PYTHON ?= python3
BIN := .venv/bin
# The library is run from here, not installed: a notebook always meets the code beside it.
export PYTHONPATH := $(CURDIR)
export PYTHONUTF8 := 1
# What Python compiles it keeps: a dozen processes read the same modules.
unexport PYTHONDONTWRITEBYTECODE
# A step says its name and its time; all that its commands say goes to _build/log.
STEP := $(PYTHON) .ci/step

NOTEBOOKS := $(sort $(wildcard book/*/*.ipynb))
LIBRARY := $(shell find attn_lib -type f -not -path '*/__pycache__/*') benchmarks/mechanisms.json
PAGES := _config.yml _toc.yml $(shell find book -type f -not -path '*/.*' -not -path '*/__pycache__/*')

# What runs side by side keeps to one thread; each test process that wants a browser has its own.
ONE_THREAD := env OMP_NUM_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -n logical --maxprocesses 4
SUMMARY := --show '[0-9]+ (passed|failed|errors?)\b.* in '

TORCH := 2.13.0

.PHONY: book test quick style machine beside drill bench gpu evidence outputs translations pdf epub audit colab format hooks lock clean

book: _build/.book
	@echo "The book is built. Open file://$(CURDIR)/_build/html/index.html"

# Notebooks run alone, away from the repository, with the library as pip installs it, as on Colab.
test: .venv/.ready machine style _build/.book
	@$(STEP) $(SUMMARY) "tests" $(PYTEST) -p no:nbval --dist loadgroup tests
	@rm -rf _build/alone && mkdir -p _build/alone && cp book/conftest.py $(NOTEBOOKS) _build/alone
	@$(STEP) "install" $(BIN)/python -m pip install --no-deps --no-build-isolation --target _build/site --upgrade .
	@cd _build/alone && PYTHONPATH="$(CURDIR)/_build/site" PYTHONSAFEPATH=1 "$(CURDIR)/$(BIN)/python" -c \
	  'import attn_lib; assert "/_build/site/" in attn_lib.__file__, attn_lib.__file__'
	@PYTHONPATH="$(CURDIR)/_build/site" PYTHONSAFEPATH=1 $(STEP) $(SUMMARY) "notebooks alone" \
	  $(PYTEST) --dist loadfile --nbval _build/alone
	@cat _build/missing

# What needs neither the built book nor a browser nor much time, nor tries what other programs do with modules.
quick: .venv/.ready style
	@$(STEP) $(SUMMARY) "quick tests" $(PYTEST) -p no:nbval --dist loadgroup -m "not pages and not slow" -k "not composes" tests

style: .venv/.ready
	@$(STEP) "ruff" $(BIN)/python -m ruff check -q .
	@$(STEP) "format" $(BIN)/python -m ruff format -q --check .
	@$(STEP) "types" $(BIN)/python -m mypy --no-error-summary
	@$(STEP) "spelling" $(BIN)/python -m codespell_lib book attn_lib README.md

# A browser, a compiler, a data set, fonts: what pip does not bring.
machine: .venv/.ready
	@$(BIN)/python tests/machine.py

# Side-by-side measurements, which the book shows; not a test, for no machine is quiet enough.
bench: .venv/.ready
	$(BIN)/python benchmarks/mechanisms.py --json benchmarks/mechanisms.json --memory

# The mechanisms and the same measurements on a GPU; where there is none, a rehearsal on the processor.
gpu: .venv/.ready
	$(BIN)/python -m pytest tests/test_gpu.py -rs
	$(BIN)/python benchmarks/mechanisms.py --json benchmarks/gpu.json $(GPU)

# Every training that the book quotes, anew, and whether the numbers agree with those that ship: some hours.
# What is in the folder already is not made again, so it may be stopped.
evidence: .venv/.ready
	$(BIN)/python -m attn_lib.lab.comparison
	$(BIN)/python -m attn_lib.lab.vit_digits
	$(BIN)/python -m attn_lib.lab.verification
	$(BIN)/python -m attn_lib.lab.heads
	$(BIN)/python -m attn_lib.lab.vit_curves
	$(BIN)/python -m attn_lib.lab.agreement evidence

# The library's tests beside another torch, in an environment of its own: make beside TORCH=2.9.1
beside:
	@test -x .venv-$(TORCH)/bin/python || $(PYTHON) -m venv .venv-$(TORCH)
	@$(STEP) "install torch $(TORCH)" .venv-$(TORCH)/bin/python -m pip install --disable-pip-version-check \
	  torch==$(TORCH) torchvision ".[test]"
	@$(STEP) $(SUMMARY) "tests beside torch $(TORCH)" .venv-$(TORCH)/bin/python -m pytest -m "not pages" tests

# The notebooks as strangers run them, beside packages of their own: make drill WITH="torch==2.9.1 ipywidgets==7.7.1"
drill:
	@rm -rf _build/drill && $(PYTHON) -m venv _build/drill
	@$(STEP) "install $(WITH)" _build/drill/bin/python -m pip install --disable-pip-version-check \
	  $(WITH) ".[all]" ipykernel nbclient nbformat
	@cd _build && env -u PYTHONPATH $(PYTHON) ../.ci/step --show '.* figures, .*' "drill" \
	  drill/bin/python ../book/_ext/drill.py $(NOTEBOOKS:%=../%)

# Run the notebooks anew and store the text that tests compare.
outputs: .venv/.ready
	$(BIN)/python book/_ext/store_outputs.py $(NOTEBOOKS)

# The catalogues of the Chinese edition as the book is now, and what each lacks.
translations: .venv/.ready
	$(BIN)/python book/_ext/catalogues.py

# The whole book on paper: a browser prints its pages.
pdf: machine _build/.book
	@$(STEP) --show 'attention.pdf' "pdf" $(BIN)/python book/_ext/pdf.py

# And for a reader of books.
epub: machine _build/.book
	@$(STEP) --show 'attention.epub' "epub" $(BIN)/python book/_ext/epub.py

# Lighthouse on every built page: bytes, requests, what moves and blocks, four scores. Wants node.
audit: machine _build/.book
	@$(BIN)/python book/_ext/audit.py

# What Colab opens, for a branch of its own, and the library that it fetches, among the pages.
colab: _build/.book
	@rm -rf _build/colab
	@$(BIN)/python book/_ext/colab.py _build/colab

format: .venv/.ready
	$(BIN)/python -m ruff check -q --fix . && $(BIN)/python -m ruff format -q .

# At every commit: ruff, its formatter, codespell, and notebooks that hold text alone.
hooks: .venv/.ready
	$(BIN)/python -m pre_commit install

# requirements.txt anew: exact versions for every Python from 3.10 on. torch is chosen by hand, and
# brings the CUDA packages that fit the machine by itself.
lock: .venv/.ready
	$(BIN)/python -m pip install -q uv
	echo torch==$(TORCH) | $(BIN)/python -m uv pip compile --universal --python-version 3.10 pyproject.toml \
	  --extra book --extra test --constraint - --no-header --no-annotate --no-emit-index-url -q \
	  | grep -vE '^(nvidia|cuda|triton)' > requirements.new
	mv requirements.new requirements.txt

clean:
	rm -rf .venv* _build

.venv/.ready: requirements.txt book/_ext/katex.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; this is " + sys.version)'
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv .venv
	@$(STEP) "install requirements" $(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	@$(STEP) "install KaTeX" $(BIN)/python -m pip install --disable-pip-version-check --no-deps -r book/_ext/katex.txt
	@touch $@

# Which pages are executed anew, and why, is decided, and said, in book/_ext/freshness.py.
_build/.book: requirements.txt $(LIBRARY) $(PAGES) | .venv/.ready
	@mkdir -p _build && touch _build/.begun  # what changes from here on makes the book stale
	@$(STEP) --show '^(\[ *[0-9]|Executed|No page)' "book" $(ONE_THREAD) $(BIN)/python $(BIN)/jupyter-book build book \
	  --config _config.yml --toc "$(CURDIR)/_toc.yml" --path-output . -q -W -n --keep-going
	@mv _build/.begun $@
