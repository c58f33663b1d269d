"""Are the data complete and sound, a copy of BDD100K and users' own? Reads everything, writes nothing."""
