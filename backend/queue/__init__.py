"""What is written into Label Studio: the order, its set-up, its clean-up."""
