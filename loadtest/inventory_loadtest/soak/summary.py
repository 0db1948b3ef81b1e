"""The last soak in words, for docs/robustness.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADING = "## The last soak"


def summary(figures: Mapping[str, Any]) -> str:
    """Make the section. Args: figures: the JSON of a soak. Returns: Markdown, with its heading."""
    machine = figures["machine"]
    left_open = ", ".join(f"{how}: {count:,}" for how, count in figures["resolved"].items())
    where = f"{machine['cores']} cores, load {machine['load_average_begun']:.1f} at the start"
    judged = f"{figures['shifts_judged']:,} shifts, each judged"
    lines = [
        f"{HEADING}\n",
        "Callers of every kind at work on two servers, and one fault after the other at random, from a seed: "
        "`make soak OUT=bench`, then `make docs`, writes this and a page with plots, "
        "[bench/soak.html](../bench/soak.html). What it proves and how memory is judged: "
        "[0038](decisions/0038-what-a-soak-proves.md).\n",
        f"{figures['minutes']:g} minutes, seed {figures['seed']}, begun {figures['begun']}, "
        f"commit {figures['commit']}, {where}.\n",
        "| | |",
        "|---|---|",
        f"| calls acknowledged | {figures['acknowledged']:,}, in {judged} |",
        f"| lost | {figures['lost']:,}; violations of all laws: {figures['violations']:,} |",
        f"| refused | {figures['refused']:,} |",
        f"| left open by an attempt | {'; '.join(filter(None, [str(figures['left_open']), left_open]))} |",
        f"| watches broken off, and gone on without a gap | {figures['watches_resumed']:,} |",
        *(f"| memory: {name} | {_memory(figures['memory'][key])} |" for name, key in _PROCESSES.items()),
        *(
            [f"| stood still | {_stood_still(figures['stood_still_s'])} |"]
            if figures["stood_still_s"]
            else []
        ),
        "",
        "| fault | times | lasted at most | well again, the middle | at most |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {each['kind']} | {each['count']} | {each['lasted_s']:.1f} s | {each['recovery_s']:.1f} s | "
        f"{each['recovery_s_most']:.1f} s |"
        for each in figures["faults"]
    ]
    return "\n".join(lines) + "\n"


_PROCESSES = {"the server that is never killed": "server", "PostgreSQL, shared buffers apart": "postgres"}


def _stood_still(seconds: float) -> str:
    return f"{seconds:,.0f} s in all, while others measured; the longest times below have such pauses in them"


def _memory(trend: Mapping[str, Any]) -> str:
    if trend["is_flat"] is None:
        return f"{trend['first_mb']:.0f} MB at the start, {trend['last_mb']:.0f} at the end"
    verdict = "flat" if trend["is_flat"] else "**it grows**"
    return (
        f"{trend['first_mb']:.0f} MB at the start, {trend['last_mb']:.0f} at the end; {verdict}: after the "
        f"warm-up {trend['start_mb']:.1f} to {trend['end_mb']:.1f} MB along the line, "
        f"{trend['mb_per_h']:+.1f} MB/h, {trend['bytes_per_call']:+.0f} bytes a call"
    )
