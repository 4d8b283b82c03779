"""Replay of labelled data: learning curves, comparisons, reports. No Label Studio server needed."""
