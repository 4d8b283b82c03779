"""Label Studio: config parsing, HTTP server, rounds, publishing, export, command line."""
