"""Labels in and out: Scalabel, COCO JSON, YOLO text files, masks and bitmasks, each <-> frames.

A reader yields frames one after the other and a writer takes them so; :mod:`.convert` puts one after the other. Nothing
here imports torch.
"""
