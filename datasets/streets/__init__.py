"""A sample data set: drawn street scenes in BDD100K's layout and with exact labels.

No image of BDD100K is in it. ``scene`` plans what each frame holds, ``layout`` and ``roadside`` place it, ``render``
draws it, ``film`` moves the camera along, ``write`` lays it out on disk. Nothing here imports torch.
"""

from .render import Rendering, render
from .scene import Scene, Thing
from .write import films, make_sample, scenes

__all__ = ["Rendering", "Scene", "Thing", "films", "make_sample", "render", "scenes"]
