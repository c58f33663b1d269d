"""Is a copy of the data complete and sound? Reads everything, writes nothing."""
