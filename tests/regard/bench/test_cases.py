"""Cases are built for their length."""

from regard.bench.cases import Case, build_layer


def test_a_horizon_serves_the_length_unless_it_is_given() -> None:
    case = Case("cosformer", "library", "mix", "causal_self", heads=2, head_width=4, n=20_000)
    assert build_layer(case).horizon == 20_000
    assert build_layer(Case(**{**vars(case), "options": "horizon=30000"})).horizon == 30_000
