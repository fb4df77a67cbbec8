"""Checks of policies: whether two are the same distribution, and whether one is a distribution at all. For tests.

    from study.policies import assert_policy, assert_same_policy, from_module

    def test_refactor():
        assert_same_policy(from_module(old), from_module(new), observation_size=17, action_size=6)

    def test_density():
        assert_policy(from_module(new), observation_size=17, action_size=6)

A `Policy` is a function from parameters and observations to a distribution. That has `log_prob` and, to be compared,
`entropy`, `sample` and `rsample`, as `torch.distributions` have. Both policies are called with the same parameters,
moved away from those given: a std of 1 couldn't be told from its variance. Actions are real numbers: discrete ones
aren't supported.

- `policy`: the policy, from a module or from Stable-Baselines3's policies.
- `trial`: a first call, which refuses what can't be compared or checked.
- `pairing`: the parameters of two policies that correspond.
- `seen`: log-densities, the Gaussian that fits them, gradients and entropy.
- `slopes`: finite differences.
- `samples`: tests that samples are of one distribution, and gradients of reparameterised ones.
- `laws`, `laws_of_samples`: the mistakes that have a name.
- `comparison`: two policies.
- `alone`: one policy.
- `cost`: the CPU time of the project's four policies, by the number of action dimensions.
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
