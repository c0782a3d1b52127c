"""The published methods, each a composition of represent + measure + select.

A method is a frozen value: `methods.l1_norm()`. The command line finds it under the name of its function, with
hyphens, and settings after a colon: `similarity-nystrom:columns=9`. To add one, write a `published` function that
returns a `Method` in the file of its family, and name it here. A criterion of your own needs none of this: a function
from filters (n, d) to n numbers is a method.
"""

from secateurs.methods.base import Method, Procedure, published
from secateurs.methods.linear import fp_backward, fp_omp, fp_omp_search, hbgs, hbgts, lrf
from secateurs.methods.maps import hrank, lasso, moments, qsfm_psnr, qsfm_ssim, taylor, thinet
from secateurs.methods.norms import (
    bn_scale,
    geometric_mean,
    geometric_median,
    l1_norm,
    l2_norm,
    operator_norm,
    random,
)
from secateurs.methods.own import of_function, own_method
from secateurs.methods.pairs import centrality, channel_similarity, similarity, similarity_nystrom
from secateurs.methods.registry import (
    METHODS,
    check_data,
    get,
    is_known,
    names,
    names_own_method,
    settings_of,
)
from secateurs.methods.stages import Composition, FromData, Scores, Seed, UpTo, part

__all__ = [
    "METHODS",
    "Composition",
    "FromData",
    "Method",
    "Procedure",
    "Scores",
    "Seed",
    "UpTo",
    "bn_scale",
    "centrality",
    "channel_similarity",
    "check_data",
    "fp_backward",
    "fp_omp",
    "fp_omp_search",
    "geometric_mean",
    "geometric_median",
    "get",
    "hbgs",
    "hbgts",
    "hrank",
    "is_known",
    "l1_norm",
    "l2_norm",
    "lasso",
    "lrf",
    "moments",
    "names",
    "names_own_method",
    "of_function",
    "operator_norm",
    "own_method",
    "part",
    "published",
    "qsfm_psnr",
    "qsfm_ssim",
    "random",
    "settings_of",
    "similarity",
    "similarity_nystrom",
    "taylor",
    "thinet",
]


def __dir__() -> list[str]:
    return list(__all__)
