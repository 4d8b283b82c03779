"""Raw bytes to arrays, one module per kind of media. Whatever is wrong raises MediaError."""
