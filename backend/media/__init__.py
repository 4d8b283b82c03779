"""Where a task's media are, how they may be had, and which harm their decoders."""
