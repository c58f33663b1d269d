"""Speed and memory of the package, measured on problems that are made by seed. Never imports torch."""
