"""What do the tests notice? Mutants are sampled single-point changes; `make mutants` runs them."""
