"""Answers to /predict."""
