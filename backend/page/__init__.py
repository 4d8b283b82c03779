"""What people look at: what to show, from the store."""
