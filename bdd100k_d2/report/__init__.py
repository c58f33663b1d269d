"""Pages to look at: what training runs left behind, drawn and tabled; neither torch nor Detectron2 is needed."""
