"""Labels that may be wrong: found, shown to a person, mended in a copy; and images that are worth labels next."""
