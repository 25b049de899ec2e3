"""CHAIR's figures of sums of counts, plain and official ones from the same formulas.

Sources: Rohrbach et al. 2018; RLAIF-V `eval_gpt_obj_halbench.py` at 83d917b. Lines tagged REPRODUCE keep what published
numbers depend on.
"""

from __future__ import annotations

from harness.protocols.benchmark import Metric, ratio


def chair_metrics(prefix: str) -> list[Metric]:
    """CHAIR at response and mention level, their complements, and recall.

    REPRODUCE: ``chair_s_refine`` leaves responses without a known object out of the denominator.
    """
    naming, mentions = f"{prefix}naming", f"{prefix}mentions"
    refined, by_mention = ratio(f"{prefix}hallucinating", naming), ratio(f"{prefix}hallucinated", mentions)
    return [
        Metric(f"{prefix}chair_s_refine", refined, False),
        Metric(f"{prefix}chair_i", by_mention, False),
        Metric(f"{prefix}chair_s", ratio(f"{prefix}hallucinating", f"{prefix}responses"), False),
        Metric(f"{prefix}recall", ratio(f"{prefix}recalled", f"{prefix}truths"), True),
        Metric(f"{prefix}nonhal_response", lambda sums: 100 - refined(sums), True),
        Metric(f"{prefix}nonhal_mention", lambda sums: 100 - by_mention(sums), True),
    ]


def length_metrics() -> list[Metric]:
    """Mentions and words per answer."""
    return [
        Metric(name, ratio(name, "responses", scale=1.0), None, unit="per answer") for name in ("mentions", "words")
    ]
