"""The version of the package, where anything in it can import it from."""

__version__ = "0.1.0"
