"""What HODM is compared with, one file each; all see the same sources and probes.

`FLOORS` are printed beside every result. `PEERS` are the field's predictors, implemented anew from their papers, so
that one command compares them under one ledger.
"""

from __future__ import annotations

from workbench.predictor.baselines.boosting import BoostingConfig, boosting
from workbench.predictor.baselines.brp_nas import BRPNASConfig, brp_nas
from workbench.predictor.baselines.flops import pretrain as flops
from workbench.predictor.baselines.help import HELPConfig, help_learner
from workbench.predictor.baselines.layerwise import layerwise, layerwise_bias
from workbench.predictor.baselines.linear import pretrain as linear
from workbench.predictor.baselines.mlp import MLPConfig, mlp
from workbench.predictor.baselines.multipredict import MultiPredictConfig, multipredict
from workbench.predictor.baselines.nasflat import NASFLATConfig, nasflat
from workbench.predictor.baselines.nearest import pretrain as nearest
from workbench.predictor.baselines.parameters import pretrain as parameters
from workbench.predictor.method import Pretrain

FLOORS: dict[str, Pretrain] = {"flops": flops, "nearest": nearest, "linear": linear}

PEERS: dict[str, Pretrain] = {
    "parameters": parameters,
    "layerwise": layerwise,
    "layerwise_bias": layerwise_bias,
    "mlp": mlp(MLPConfig()),
    "boosting": boosting(BoostingConfig()),
    "brp_nas": brp_nas(BRPNASConfig()),
    "help": help_learner(HELPConfig()),
    "multipredict": multipredict(MultiPredictConfig()),
    "nasflat": nasflat(NASFLATConfig()),
}
