"""Objects of one video that get numbers, frame by frame."""
