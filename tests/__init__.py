"""The tests; a package, so that processes that they start find their functions."""
