"""What watches a training: hooks and event writers, one idea a module."""
