"""What the report shows of single objects: which of them a panel's reference hallucinates and each method does not."""

from __future__ import annotations

import math
from typing import Any

from leaderboards.members import members_by_condition
from leaderboards.objects import ObjectChanges, object_changes, shares
from leaderboards.run_groups import BASE, DPO
from leaderboards.text import condition_titles
from leaderboards.view import View

TOP = 6
"""Objects that are shown of a method; `objects A B` has the others."""


def object_sections(view: View, panel: str) -> list[dict[str, Any]]:
    """A section for each benchmark of a panel that names objects: title, reference, and of each method its objects."""
    tables = [table for table in view.tables if table.panel == panel]
    titles = condition_titles(table.condition for table in tables)
    members = members_by_condition(view.snapshot, panel) if tables else {}
    sections = []
    for table in tables:
        labels = [row.label for row in table.rows]
        reference = next((label for label in (BASE, DPO) if label in labels), labels[0])
        sides = {label: (label, list(members[table.condition].seeds[label].values())) for label in labels}
        found = {
            label: object_changes(view.snapshot, table.condition, sides[reference], sides[label], TOP)
            for label in labels
            if label != reference
        }
        methods = [_method(label, changes) for label, changes in found.items() if changes and changes.changes]
        if methods:
            sections.append({"title": titles[table.condition], "reference": reference, "methods": methods})
    return sections


def _method(label: str, found: ObjectChanges) -> dict[str, Any]:
    """The objects of a method, as text, largest change first, and all of them together."""
    rows = [
        {
            "object": each.object,
            "reference": shares(each.a, each.a_mentions),
            "method": shares(each.b, each.b_mentions),
            "change": f"{-each.difference.value:+.1f}",
            "interval": f"[{-each.difference.high:.1f}, {-each.difference.low:.1f}]"
            if math.isfinite(each.difference.low)
            else "–",
            "sure": each.difference.leaves_out_0,
        }
        for each in found.changes
    ]
    every = {"reference": shares(found.a, found.a_mentions), "method": shares(found.b, found.b_mentions)}
    return {"label": label, "rows": rows, "every": every, "answers": found.answers}
