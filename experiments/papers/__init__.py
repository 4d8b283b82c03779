"""The tables and figures of BMMAL and GRACE, one command each: `python -m experiments.papers`."""
