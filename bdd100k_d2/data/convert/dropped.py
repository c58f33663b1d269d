"""What a target format cannot hold, counted while it is written."""

from collections import Counter
from threading import Lock

from ..labels import Frame, FrameAttributes, Label, LabelAttributes
from .scalabel import SourceAttributes, SourceFrame, SourceLabel, has_polygon

# Kinds; a kind is a phrase that follows its count.
CONDITIONS = "frames whose weather, scene and time of day are not kept"
VIDEO = "frames whose video, index or timestamp are not kept"
LABEL_ATTRIBUTES = "labels whose attributes (occluded, truncated, traffic light colour) are not kept"
OTHER_ATTRIBUTES = "labels whose further attributes (area type, lane style, ...) are not kept"
OTHER_FIELDS = "labels with more (box3d, ...) that is not kept"
OTHER_OF_FRAME = "frames with more (url, sensor, further attributes, ...) that is not kept"
LIGHT_COLOR = "labels whose traffic light colour is not kept"
SCORES = "labels whose score is not kept"
IDS = "labels whose id is not kept"
MASKS = "labels whose mask is not kept, only its box"
BOXES = "labels whose own box is not kept but replaced by the box around the mask"
POLYGONS = "labels whose polygon (poly2d) is not kept"
NO_AREA = "boxes without an area are left out"
OUTSIDE = "boxes outside of their image are left out"
NO_BOX = "labels without a box are left out"
NO_MASK = "labels without a mask (rle) are left out"
OTHER_TASK = "labels of classes that the task does not have are left out"
RENAMED = "labels under another name of their class (bike, motor, person, van, ...) get the official one"
IGNORED_CLASS = "labels of ignored classes (other person, other vehicle, trailer) become crowds of the nearest class"
IGNORED_AS_CROWD = "ignored labels become crowds, the two cannot be told apart"
CROWDS_LEFT_OUT = "crowds and ignored labels are left out: they would be trained on as plain objects"


class Dropped:
    """Counts by kind, in whatever thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, kind: str, count: int = 1) -> None:
        """Counts ``count`` more of ``kind``."""
        if count:
            with self._lock:
                self._counts[kind] += count

    def add_frame(self, frame: Frame, attributes: bool = True) -> None:
        """Counts what a frame says of itself; ``attributes`` says whether its attributes too are not kept."""
        if attributes and has_conditions(frame.attributes):
            self.add(CONDITIONS)
        if frame.videoName is not None or frame.frameIndex is not None or frame.timestamp is not None:
            self.add(VIDEO)
        if isinstance(frame, SourceFrame) and frame.has_more:
            self.add(OTHER_OF_FRAME)

    def add_attributes(self, label: Label) -> None:
        """Counts a label's attributes, if they say anything: false is what is read of labels without attributes."""
        attributes = label.attributes
        if attributes is not None and (attributes.occluded or attributes.truncated or has_light(attributes)):
            self.add(LABEL_ATTRIBUTES)
        if isinstance(attributes, SourceAttributes) and attributes.has_more:
            self.add(OTHER_ATTRIBUTES)

    def add_polygon(self, label: Label) -> None:
        """Counts a label's polygon, and what else of it Scalabel alone holds."""
        if has_polygon(label):
            self.add(POLYGONS)
        if isinstance(label, SourceLabel) and label.has_more:
            self.add(OTHER_FIELDS)

    def counts(self) -> dict[str, int]:
        """The counts by kind, the largest first; kinds that did not occur are not in it."""
        return dict(self._counts.most_common())


def has_conditions(known: FrameAttributes | None) -> bool:
    """Whether the weather, the scene or the time of day of a frame is known."""
    # Readers have records of their own for them, which are never equal to others.
    return known is not None and not (known.weather is None and known.scene is None and known.timeofday is None)


def has_light(attributes: LabelAttributes) -> bool:
    """Whether the colour of a traffic light is known."""
    return attributes.trafficLightColor not in (None, "NA", "none")
