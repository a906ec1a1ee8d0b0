from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealwright.domain.errors import InvalidRequestError
from sealwright.domain.messages import KeyView, PolicyView, PrincipalView
from sealwright.policy.cedar import Action, Decision, PolicyEngine
from sealwright.policy.schema import default_policy

CI = PrincipalView("ci", "workload", "acme", b"")
ANN = PrincipalView("ann", "person", "acme", b"", administrator=True)
KEY = KeyView("release", "acme", "p-256", "persistent", "active", "software", ["authenticode"], b"")
CONTEXT: dict[str, Any] = {"scheme": "authenticode", "input": "digest", "digest_algorithm": "sha256", "count": 1}

RULES = """
@id("sign-few") permit (principal == Workload::"ci", action, resource in Subscriber::"acme")
when { context.count <= 10 };
@id("never-p521") forbid (principal, action == Action::"sign", resource) when { resource.algorithm == "p-521" };
@id("administrators-ask") permit (principal is Person, action == Action::"request", resource)
when { principal.administrator };
@id("named") permit (principal, action, resource)
when { context.parameters.contains({name: "program_name", value: "Setup"}) && resource.lifetime == "ephemeral" };
@id("overflowing") forbid (principal, action, resource)
when { context.scheme == "authenticode" && context.count * 9223372036854775807 < 0 };
"""


def engine(text: str, subscriber: str = "acme") -> PolicyEngine:
    return PolicyEngine({subscriber: PolicyView(subscriber, text, 1)}.get)


@pytest.mark.parametrize("action", ["request", "sign"])
def test_the_default_policy_lets_its_workload_sign(action: Action) -> None:
    decision = engine(default_policy("acme", "ci")).decide(action, CI, KEY, CONTEXT)
    assert decision == Decision(True, ("ci-may-sign",))


def test_what_no_policy_permits_is_denied() -> None:
    judge = engine(default_policy("acme", "other"))
    assert judge.decide("sign", CI, KEY, CONTEXT) == Decision(False)
    assert judge.decide("sign", ANN, KEY, CONTEXT) == Decision(False)
    assert engine("").decide("sign", CI, KEY, CONTEXT) == Decision(False)


def test_a_key_of_another_subscriber_is_denied_whatever_the_policies_say() -> None:
    everything = "permit (principal, action, resource);"
    other = msgspec.structs.replace(KEY, subscriber="globex")
    views = {name: PolicyView(name, everything, 1) for name in ("acme", "globex")}
    assert PolicyEngine(views.get).decide("sign", CI, other, CONTEXT) == Decision(False, ("tenancy",))


def test_policies_of_another_subscriber_do_not_count() -> None:
    stray = PolicyView("globex", "permit (principal, action, resource);", 1)
    for lookup in ({}, {"acme": stray}):
        assert PolicyEngine(lookup.get).decide("sign", CI, KEY, CONTEXT) == Decision(False, ("no-policy",))


def test_a_forbid_wins_and_is_named() -> None:
    key = msgspec.structs.replace(KEY, algorithm="p-521")
    context = {**CONTEXT, "count": 0}
    assert engine(RULES).decide("sign", CI, key, context) == Decision(False, ("never-p521",))
    assert engine(RULES).decide("request", CI, key, context).allowed


def test_an_administrator_is_known_as_one() -> None:
    context = {**CONTEXT, "scheme": "raw"}
    assert engine(RULES).decide("request", ANN, KEY, context) == Decision(True, ("administrators-ask",))
    plain = msgspec.structs.replace(ANN, administrator=False)
    assert not engine(RULES).decide("request", plain, KEY, context).allowed


def test_a_policy_can_ask_for_a_parameter_of_the_scheme() -> None:
    key = msgspec.structs.replace(KEY, lifetime="ephemeral")
    context = {**CONTEXT, "scheme": "raw", "count": 50}
    assert not engine(RULES).decide("sign", CI, key, context).allowed
    named = {**context, "parameters": {"program_name": "Setup", "url": "https://example.org"}}
    assert engine(RULES).decide("sign", CI, key, named) == Decision(True, ("named",))


def test_a_forbid_that_cannot_be_evaluated_denies() -> None:
    decision = engine(RULES).decide("sign", CI, KEY, {**CONTEXT, "count": 3})
    assert not decision.allowed
    assert decision.reasons == ("sign-few",)
    assert "overflow" in decision.errors[0]


@pytest.mark.parametrize("text", ["permit(", "(" * 10_000])
def test_policies_that_cannot_be_read_deny(text: str) -> None:
    decision = engine(text).decide("sign", CI, KEY, CONTEXT)
    assert not decision.allowed
    assert decision.errors


def test_policies_without_a_name_are_called_as_cedar_numbers_them() -> None:
    decision = engine("permit (principal, action, resource);").decide("sign", CI, KEY, CONTEXT)
    assert decision == Decision(True, ("policy0",))


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": 1},
        {"input": None},
        {"digest_algorithm": b"sha256"},
        {"count": "1"},
        {"count": True},
        {"count": -1},
        {"count": 2**63},
        {"parameters": ["x"]},
        {"parameters": {"x": 1}},
        {"colour": "red"},
    ],
)
def test_a_context_of_another_shape_is_refused(change: Mapping[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        engine(default_policy("acme", "ci")).decide("sign", CI, KEY, {**CONTEXT, **change})


def test_names_cannot_break_out_of_their_place() -> None:
    evil = msgspec.structs.replace(CI, name='x", action, resource); permit (principal == Workload::"ci')
    assert engine(default_policy("acme", "ci")).decide("sign", evil, KEY, CONTEXT) == Decision(False)


def test_a_changed_policy_counts_at_once() -> None:
    views = {"acme": PolicyView("acme", default_policy("acme", "ci"), 1)}
    judge = PolicyEngine(views.get)
    assert judge.decide("sign", CI, KEY, CONTEXT).allowed
    views["acme"] = PolicyView("acme", "", 2)
    assert not judge.decide("sign", CI, KEY, CONTEXT).allowed
    views["acme"] = PolicyView("acme", RULES, 2)
    assert judge.decide("sign", CI, KEY, {**CONTEXT, "count": 0}).allowed
    del views["acme"]
    assert not judge.decide("sign", CI, KEY, {**CONTEXT, "count": 0}).allowed


def test_an_equal_question_is_answered_from_memory() -> None:
    judge = engine(default_policy("acme", "ci"))
    first = judge.decide("sign", CI, KEY, CONTEXT)
    again = judge.decide("sign", msgspec.structs.replace(CI, public_key=b"new"), KEY, {**CONTEXT, "parameters": {}})
    assert again is first
    assert judge.decide("request", CI, KEY, CONTEXT) is not first


REMEMBERING = engine(RULES)
NAMES = st.sampled_from(["ci", "ann", "x"])


@settings(max_examples=300)
@given(
    st.sampled_from(["request", "sign"]),
    st.builds(
        PrincipalView,
        NAMES,
        st.sampled_from(["workload", "person"]),
        st.sampled_from(["acme", "acme", "globex"]),
        st.just(b""),
        st.booleans(),
    ),
    st.builds(
        KeyView,
        NAMES,
        st.sampled_from(["acme", "acme", "globex"]),
        st.sampled_from(["p-256", "p-521"]),
        st.sampled_from(["persistent", "ephemeral"]),
        st.just("active"),
        st.sampled_from(["software", "signing-service"]),
        st.just([]),
        st.just(b""),
    ),
    st.fixed_dictionaries(
        {
            "scheme": st.sampled_from(["authenticode", "raw"]),
            "input": st.sampled_from(["digest", "file"]),
            "digest_algorithm": st.sampled_from(["sha256", "sha512"]),
            "count": st.sampled_from([0, 1, 10, 11]),
        },
        optional={"parameters": st.dictionaries(st.sampled_from(["program_name", "url"]), st.sampled_from(["Setup"]))},
    ),
)
def test_a_remembered_decision_is_the_fresh_one(
    action: Action, principal: PrincipalView, key: KeyView, context: dict[str, Any]
) -> None:
    fresh = PolicyEngine({"acme": PolicyView("acme", RULES, 1)}.get, decisions=0, policies=0)
    expected = fresh.decide(action, principal, key, context)
    assert REMEMBERING.decide(action, principal, key, context) == expected
    assert REMEMBERING.decide(action, principal, key, context) == expected
