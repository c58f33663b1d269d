"""Model files that run without Detectron2: what is traced into them, and how they are written."""
