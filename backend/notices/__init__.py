"""What is told to whoever asked for it: events, signed and sent to one address."""
