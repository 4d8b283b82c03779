"""Small arrays on shared cores: waiting threads must sleep, not spin (read when torch loads)."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
