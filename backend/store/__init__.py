"""What is kept: projects, rounds, leases, rankings."""
