"""Policies alone: are two the same distribution, and is one a distribution at all? For tests, with pytest or without.

    from study.policies import assert_policy, assert_same_policy, from_module

    def test_refactor():
        assert_same_policy(from_module(old), from_module(new), observation_size=17, action_size=6)

    def test_density():
        assert_policy(from_module(new), observation_size=17, action_size=6)

A `Policy` is a function from parameters and observations to what has `log_prob`, and, where they are to be compared,
`entropy`, `sample` and `rsample`, as `torch.distributions` have. Both are tried at the same parameters, moved away from
those given: where every std is 1, it is its own variance. Actions are real numbers: discrete ones aren't supported.

- `policy`: what a policy is, and how modules and Stable-Baselines3's policies become one.
- `trial`: whether a policy can be compared or checked at all.
- `pairing`: which parameter of one policy is which of the other.
- `seen`: log-densities, the Gaussian that they look like, gradients and entropy.
- `slopes`: finite differences.
- `samples`: whether samples are of one distribution, and gradients of reparameterised ones.
- `laws`, `laws_of_samples`: the mistakes that have a name.
- `comparison`: two policies.
- `alone`: one.
- `cost`: what each of the project's four policies costs by the width of the action.
"""

from study.policies.alone import assert_policy, check
from study.policies.comparison import Compared, Finding, assert_same_policy, compare
from study.policies.policy import Policy, from_module, from_sb3

__all__ = [
    "Compared",
    "Finding",
    "Policy",
    "assert_policy",
    "assert_same_policy",
    "check",
    "compare",
    "from_module",
    "from_sb3",
]
