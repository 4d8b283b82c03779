"""The figures of a report: one function per picture, matplotlib only, colours for everybody."""
