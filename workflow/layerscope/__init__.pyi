from layerscope.doors.choice import Recommendation as Recommendation
from layerscope.doors.choice import recommend as recommend
from layerscope.doors.embed import embed as embed
from layerscope.doors.layers import Layers as Layers
from layerscope.doors.scores import Scores as Scores
from layerscope.doors.scores import score as score

__version__: str
