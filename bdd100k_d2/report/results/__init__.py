"""The report of predictions: scores, plots and the worst frames, on a page that needs nothing but its folder."""
