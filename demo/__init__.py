"""The demo: a real Label Studio on this machine, from the first label to the learning curve."""
