"""Speed and memory against peers from the package index; each module prints a table."""
