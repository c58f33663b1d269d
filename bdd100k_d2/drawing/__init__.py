"""Boxes, masks, class names and colours, drawn on images."""
