"""Results of a simulated fleet, made up for the tests of the reports."""

from typing import Any

from properties.bench.made_results import RUN

COMMAND = "nox -s simulate -- --sweep ttl=600,3600"


def a_bill(way: str, **more: Any) -> dict[str, Any]:
    """A bill of simulation.json."""
    causes = {"expiry": 0, "restart": 5, "hazard": 0, "crash": 0, "loss": 0, "forgotten": 0, "limit": 0}
    return {
        "way": way, "servers": 2_000, "jobs": 60_000, "good": 59_000, "useless": 0, "failed": 7, "unfinished": 993,
        "attempts": 61_000, "causes": causes | more.pop("causes", {}), "wasted_copies": 12, "repeated_hours": 34.5,
        "useless_hours": 0.0, "orphans": 3, "orphan_hours": 81.25, "forced_hours": 70.0, "forced_wal_bytes": 2.0**40,
        "connections": 122_000, "connection_hours": 0.0, "connections_peak": 0, "open_peak": 90,
        "memory_peak_bytes": 3.0 * 2**20,
        "wait": {"mean": 1800.0, "median": 1200.0, "p95": 7200.0, "p99": 18_000.0}, **more,
    }  # fmt: skip


def a_point(ttl: int, renewals: int, orphan_hours: float, expired: int, complete: bool = True) -> dict[str, Any]:
    """A point of a sweep with two ways."""
    held = {"connections_peak": 431, "connection_hours": 98_765.0}
    bills = [
        a_bill("stock", **held, repeated_hours=50.0),
        a_bill("shared", orphan_hours=orphan_hours, causes={"expiry": expired}),
        a_bill("catalog", useless=17, useless_hours=26.0),
    ]
    return {"changed": {"ttl": ttl, "renewals": renewals}, "complete": complete, "bills": bills}


def a_simulation(**more: Any) -> dict[str, Any]:
    """A simulation.json."""
    goes_on = dict.fromkeys(("expiry", "restart", "hazard", "crash", "loss"), "goes on")
    return {
        **{name: RUN[name] for name in ("schema", "when", "seconds", "machine", "versions", "git")},
        "verdict": "complete", "command": COMMAND, "seed": 4711,
        "parameters": {"servers": 2_000, "days": 30.0, "ttl": 3600, "renewals": 3, "durations": "lognormal"},
        "units": {"ttl": "seconds"}, "sources": {"session_bytes": "nox -s bench"},
        "fates": {"stock": goes_on, "shared": goes_on | {"expiry": "ended", "restart": "ended"},
                  "catalog": goes_on | {"expiry": "ended", "restart": "does not restore"}},
        "points": [a_point(600, 0, 1.5, 4_000), a_point(600, 3, 8.0, 40),
                   a_point(3600, 0, 41.0, 900), a_point(3600, 3, 56.0, 0)], **more,
    }  # fmt: skip
