"""What to label next: pure maths on arrays. No I/O, no network classes, no Label Studio."""
