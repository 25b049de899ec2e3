"""CHAIR's figures of sums of counts, plain and official ones from the same formulas.

Sources: Rohrbach et al. 2018; RLAIF-V `eval_gpt_obj_halbench.py` at 83d917b. Lines tagged REPRODUCE keep what published
numbers depend on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from benchmarks.common.chair import Synonyms
from harness.protocols.benchmark import Metric, Verdict, ratio


def chair_verdict(mentions: Sequence[str], truth: Collection[str], synonyms: Synonyms) -> Verdict:
    """One response: its ``mentions`` (known names) against the categories that the image shows."""
    classes = synonyms.classes
    wrong = [word for word in mentions if classes[word] not in truth]
    counts = {
        "responses": 1.0,
        "naming": float(bool(mentions)),
        "hallucinating": float(bool(wrong)),
        "mentions": float(len(mentions)),
        "hallucinated": float(len(wrong)),
        "recalled": float(len({classes[word] for word in mentions} & set(truth))),
        "truths": float(len(truth)),
    }
    renamed = {word: classes[word] for word in mentions if classes[word] != word}
    return Verdict(counts, details={"mentions": list(mentions), "hallucinated": wrong, "classes": renamed})


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
