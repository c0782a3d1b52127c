"""Names that say the settings, and methods that are values."""

import pickle

import pytest

import secateurs as sc
from networks import EXAMPLE, residual
from secateurs import methods
from secateurs.graph import trace

SETTINGS = [
    (methods.fp_omp(faithful=True), "fp-omp:faithful"),
    (methods.fp_omp(True), "fp-omp:faithful"),
    (methods.similarity(faithful=True), "similarity:faithful"),
    (methods.similarity_nystrom(9, True), "similarity-nystrom:columns=9,faithful"),
    (methods.similarity_nystrom((12, 6, 21), rank=4), "similarity-nystrom:columns=12+6+21,rank=4"),
    (methods.qsfm_ssim(window=False), "qsfm-ssim:window=false"),
    (methods.qsfm_ssim(0.8, window=False), "qsfm-ssim:threshold=0.8,window=false"),
    (methods.qsfm_psnr(threshold=30), "qsfm-psnr:threshold=30"),
    (methods.operator_norm(faithful=True), "operator-norm:faithful"),
    (methods.channel_similarity("relu", 0.5), "channel-similarity:kind=relu,threshold=0.5"),
    (methods.centrality("betweenness"), "centrality-betweenness"),
    (methods.centrality("betweenness", faithful=True), "centrality-betweenness:faithful"),
    (methods.hbgs(batch=3), "hbgs:batch=3"),
    (methods.hbgts(batch=3, backward=True), "hbgts-b:batch=3"),
    (methods.fp_omp_search(batch=12, faithful=True), "fp-omp-search:batch=12,faithful"),
]
EVERY = [*methods.METHODS, *(method for method, _ in SETTINGS)]


@pytest.mark.parametrize(
    ("method", "name"), SETTINGS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_name_says_the_settings_and_gives_the_method_back(method, name):
    assert method.name == name
    assert methods.get(name) == method


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.name)
def test_methods_are_values(method):
    again = pickle.loads(pickle.dumps(method))
    assert again == method
    assert hash(again) == hash(method)
    assert methods.get(method.name) == method


def test_methods_of_other_settings_are_others():
    assert len(set(EVERY)) == len({method.name for method in EVERY}) == len(methods.METHODS) + 13


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("fp_omp:faithful=true", "fp-omp:faithful"),
        ("fp-omp:faithful=false", "fp-omp"),
        ("similarity-nystrom:columns=none, faithful", "similarity-nystrom:faithful"),
        ("centrality:kind=closeness,faithful", "centrality-closeness:faithful"),
        ("hbgs:backward", "hbgs-b"),
        ("qsfm-psnr:threshold=2e1", "qsfm-psnr:threshold=20.0"),
    ],
)
def test_other_spellings_mean_the_same(spelled, name):
    assert methods.get(spelled).name == name


@pytest.mark.parametrize(
    ("spelled", "words"),
    [
        ("similarity-nystrom:column=9", "no setting 'column'; its settings are columns, faithful, rank"),
        (
            "similarity-nystrom:columns=x",
            "columns of 'similarity-nystrom' is 'x'; give a whole number or several .12.6.21. or none",
        ),
        ("similarity-nystrom:columns=2.5", "columns of .* is 2.5; give a whole number or several"),
        ("qsfm-psnr:threshold=nan", "threshold of 'qsfm-psnr' is 'nan'; give a number or none"),
        ("qsfm-psnr:threshold=1e999", "is '1e999'; give a number or none"),
        ("similarity-nystrom:columns=" + "9" * 5000, "give a whole number or several"),
        ("similarity-nystrom:columns=4+x", "is '4.x'; give a whole number or several"),
        ("similarity-nystrom:rank=4+5", "is a tuple; give a whole number or none"),
        ("similarity-nystrom:columns", "columns of .* is True; give a whole number or several"),
        ("centrality:kind=loudness", "kind of 'centrality' is 'loudness'; give one of degree, "),
        ("centrality-closeness:kind=degree", "no setting 'kind'; its settings are faithful"),
        ("l1-norm:faithful", "'l1-norm' has no setting 'faithful'; it has no settings"),
        ("l1-norm:,", "no setting ''"),
        ("l1norm:faithful", "there is no 'l1norm:faithful'"),
    ],
)
def test_wrong_settings_are_named(spelled, words):
    with pytest.raises(sc.InputError, match=words):
        methods.get(spelled)


def test_settings_are_on_record():
    result = sc.prune(residual(), EXAMPLE, method="fp_omp:faithful", keep=0.5)
    assert result.method == result.plan.method == "fp-omp:faithful"
    assert sc.rank(trace(residual(), EXAMPLE), methods.fp_omp(faithful=True)).method == "fp-omp:faithful"


def test_settings_change_what_is_done():
    graph = trace(residual(), EXAMPLE)
    rough, exact = (sc.rank(graph, f"similarity-nystrom{s}") for s in (":columns=1", ""))
    assert rough.orders != exact.orders
    assert {note["columns"][0] for note in rough.notes.values()} == {1}
