"""For whoever writes an advisor, a judge, an adjuster or a language model of their own.

Subclass a conformance class in a test module and say how yours is made; pytest runs its tests::

    from raymimic.testing import AdvisorConformance

    class TestMyAdvisor(AdvisorConformance):
        def make(self):
            return MyAdvisor()

What the tests are made of is here, too: evidence of searches (`searches`), of running trials
(`trials`) and of a training in progress (`runs`), advisors to drive a searcher with (`advisors`),
and a server on this machine that speaks both providers' dialects (`server`). Needs neither pytest
nor Ray.
"""

from raymimic.testing.advisor_conformance import AdvisorConformance
from raymimic.testing.advisors import CountingAdvisor, HeldAdvisor
from raymimic.testing.llm_conformance import LLMConformance
from raymimic.testing.running_conformance import AdjusterConformance, JudgeConformance
from raymimic.testing.searches import RuleAdvisor
from raymimic.testing.server import StubServer

__all__ = [
    "AdjusterConformance",
    "AdvisorConformance",
    "CountingAdvisor",
    "HeldAdvisor",
    "JudgeConformance",
    "LLMConformance",
    "RuleAdvisor",
    "StubServer",
]
