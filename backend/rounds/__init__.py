"""When a round is due, where it runs, and what it does from fetch to commit."""
