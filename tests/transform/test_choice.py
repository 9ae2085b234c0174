from packager.transform import choice
from packager.transform.trial import Trial
from runtime.contract.transformation import OutputAgreement, Variant


def trial(name: str, ms: float, *, agrees: float = 1.0, nodes: int = 10, size: int = 100, ok: bool = True) -> Trial:
    outputs = {"y": OutputAgreement(rows=9, agreement=agrees, measures={"labels": agrees})}
    timed = {"1": ms, "64": ms * 20}
    return Trial(Variant(name=name, accepted=ok, size_bytes=size, nodes=nodes, latency_ms=timed, outputs=outputs), name)


ORIGINAL = trial("original", 1.0)


def test_what_is_slower_is_refused_with_its_factor() -> None:
    fast, slow = choice.judge_speed([trial("a", 1.04), trial("b", 1.2)], ORIGINAL.variant)
    assert fast.variant.accepted
    assert (slow.variant.accepted, slow.variant.reason) == (False, "slower: 1.20 times the original's latency")


def test_the_fastest_wins_unless_another_is_as_fast_and_agrees_more() -> None:
    trials = [trial("a", 0.50, agrees=0.992), trial("b", 0.54, agrees=0.999), trial("c", 0.7, agrees=1.0)]
    best = choice.best_lossy(trials, ORIGINAL.variant)
    assert best is not None
    assert best.variant.name == "b"


def test_nothing_accepted_is_nothing_chosen() -> None:
    assert choice.best_lossy([trial("a", 0.5, ok=False)], ORIGINAL.variant) is None


def test_fewer_nodes_win_and_then_fewer_bytes() -> None:
    trials = [
        trial("basic", 1.0, nodes=8, size=99),
        trial("slim", 1.0, nodes=8, size=98),
        trial("extended", 1.0, nodes=2),
    ]
    assert choice.best_lossless(trials, ORIGINAL).variant.name == "slim"


def test_the_original_stays_where_nothing_is_gained() -> None:
    assert choice.best_lossless([trial("basic", 0.9, size=101), trial("slim", 1.0, size=99)], ORIGINAL) is ORIGINAL


def test_operators_of_onnx_runtime_alone_have_to_be_worth_it() -> None:
    trials = [trial("basic", 0.98, nodes=8), trial("extended", 0.9, nodes=4)]
    assert choice.best_lossless(trials, ORIGINAL).variant.name == "extended"


def test_a_refusal_for_speed_names_the_form_to_ask_for() -> None:
    tried = choice.judge_speed([trial("int8-static-minmax", 1.5, size=30)], ORIGINAL.variant)
    error = choice.nothing_passes("int8", tried, ORIGINAL.variant, 0.99)
    assert "int8-static-minmax: slower: 1.50 times the original's latency" in error.message
    assert error.hint.endswith("for its size (0.30 of the original's): --quantize int8-static")
    assert error.code == "E-GATE"


def test_a_refusal_for_disagreement_holds_the_numbers_before_and_after() -> None:
    variant = Variant(name="fp16", accepted=False, reason="agreement of 'y' is 0.5000 (labels), below 0.99")
    error = choice.nothing_passes("fp16", [Trial(variant, "")], ORIGINAL.variant, 0.99)
    assert error.message.startswith("no fp16 form of the model passes the gate: fp16: agreement of 'y' is 0.5000")
    assert "the model before agrees in 1.0000" in error.message
    assert error.detail["before"]["outputs"]["y"]["agreement"] == 1.0
