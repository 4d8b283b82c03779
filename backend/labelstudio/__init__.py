"""What Label Studio says: its API, label configs, annotations."""
