"""Labels in and out: Scalabel, COCO JSON, YOLO text files, masks and bitmasks, each <-> frames, without torch."""
