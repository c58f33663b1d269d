"""The models of the sample's configs at a fraction of their size: keys and values in turn, as the commands take them.

A training saves its model and two moments of each weight. Of those of the configs that takes seconds each time.
"""

# Fifty layers, because those of 18 have to be wide.
_NARROW = (
    "MODEL.RESNETS.DEPTH 50 MODEL.RESNETS.WIDTH_PER_GROUP 2 MODEL.RESNETS.STEM_OUT_CHANNELS 8 "
    "MODEL.RESNETS.RES2_OUT_CHANNELS 8 MODEL.FPN.OUT_CHANNELS 8 "
)
SMALL_MODELS = {
    "det": f"{_NARROW} MODEL.ROI_BOX_HEAD.FC_DIM 16".split(),
    "sem_seg": f"{_NARROW} MODEL.SEM_SEG_HEAD.CONVS_DIM 8".split(),
}
