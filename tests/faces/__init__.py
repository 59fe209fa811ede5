"""The pages in a real browser, served as shipped: `python -m tests.faces`. Not part of a plain `pytest` run."""
