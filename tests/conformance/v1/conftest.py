"""SDK v1.72.1 lives in a Python environment of its own; the fixtures are those of the folder above."""
