.PHONY: report test lint

report: .venv/installed
	.venv/bin/python -m tsattn report

test: lint
	.venv/bin/python -m pytest -n auto --dist worksteal tests

lint: .venv/installed
	.venv/bin/ruff check .

.venv/installed: requirements.txt pyproject.toml
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
