"""A summary's figures as plain values: what is in a run's summary.json."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

from lab.density.analysis import stats
from lab.density.analysis.stats import Estimate
from lab.density.analysis.summary import CACHE, CLOUD, Summary

KNEE = ("block", "n", "objective_ms", "relative", "rate", "confirmed", "capped")


def as_dict(figures: Summary) -> dict[str, Any]:
    """The figures as plain values."""

    def plain(estimate: Estimate | None) -> dict[str, Any] | None:
        return estimate.as_dict() if estimate else None

    return {
        "same_version_settings_and_data": figures.same,
        "trials_left_by_the_time_limit": figures.stopped,
        "rows_under_load_withdrawn": figures.withdrawn,
        "settings_that_differ": figures.settings,
        "arms": [
            {
                "engine": a.engine,
                "arm": a.arm,
                "emulated": a.emulated,
                "bytes_per_database": plain(a.slope),
                "bytes_of_the_emulators_cache": a.parts.get(CACHE, 0.0),
                "bytes_of_the_clouds_services": a.parts.get(CLOUD, 0.0),
                "unexplained_share": plain(a.unexplained),
                "unexplained_worst_block": a.worst,
                "bytes_that_other_programs_took": plain(a.others),
                "parts": a.parts,
                "warm_bytes_per_database": fmean(a.warm.values()) if a.warm else None,
                "bytes_added_by_load": fmean(a.worked.values()) if a.worked else None,
                "bytes_merged": fmean(a.merged.values()) if a.merged else None,
                "guest": a.guest,
                "idle_cpu_seconds_per_minute": plain(stats.mean(list(a.idle.values()))) if a.idle else None,
                "first_query_seconds_alone": median(a.alone) if a.alone else None,
                "active_seconds_alone": median(a.active) if a.active else None,
                "first_query_seconds_together": median(a.together) if a.together else None,
                "fits_budget": [{k: r[k] for k in ("n", "budget", "confirmed", "capped")} for r in a.fit],
                "knee": [{k: r[k] for k in KNEE} for r in a.knee],
                "noisy_neighbour_p99_ms": a.noise,
                "failed": a.failed,
                "loud_trials": a.loud,
                "trials": a.trials,
            }
            for a in figures.arms.values()
        ],
        "ratios": [
            {
                "what": r.what,
                "engine": r.engine,
                "top": r.top,
                "bottom": r.bottom,
                "emulated": r.emulated,
                **r.estimate.as_dict(),
                "worst_block": r.worst,
            }
            for r in figures.ratios
        ],
    }
