.PHONY: report test

report: .venv/installed
	.venv/bin/python -m tsattn report

test: .venv/installed
	.venv/bin/python -m pytest tests

.venv/installed: requirements.txt pyproject.toml
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
