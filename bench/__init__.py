"""The benchmark that users can run: `make bench`."""
