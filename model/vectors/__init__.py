"""Learning on prepared vectors: scaled on the pool, linear heads, everything chosen out-of-fold."""
