"""A realistic report of a classify run."""

from typing import Any

import pytest


def seeds(value: float, sd: float, n: int = 600) -> dict[str, Any]:
    return {**plain(value, n, 0.03), "sd": sd, "seeds": 3}


def plain(value: float, n: int = 600, half: float = 0.02) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": min(1.0, value + half), "n": n}


def exactly(value: float, n: int = 600) -> dict[str, Any]:
    return {"value": value, "low": None, "high": None, "n": n}


def trained(value: float, sd: float) -> dict[str, Any]:
    return {
        "accuracy": seeds(value, sd),
        "macro_f1": seeds(value - 0.01, sd + 0.003),
        "parsed": exactly(1.0),
        "cost_per_1000": {"value": None, "why": "no price is known"},
        "rows_per_s": exactly(812.4),
        "tokens_per_row": exactly(41.7),
    }


def before_after(metric: str, before: float, after: float, lower: bool) -> dict[str, Any]:
    topics = None if lower else {"facts": before_after(metric, before, after, True)}
    return {"metric": metric, "lower_is_better": lower, "chance": None, "by_topic": topics,
            "student_before": plain(before, 60), "student": plain(after, 60),
            "difference": {"value": after - before, "low": after - before - 0.02,
                           "high": after - before + 0.02, "n": 60}, "worse": lower}  # fmt: skip


def cascade() -> dict[str, Any]:
    points = [{"threshold": at / 10, "handed": at / 10, "agreement": plain(0.81 + at * 0.014),
               "kept_accuracy": plain(0.81 + at * 0.018), "cost_per_1000": 0.02 + at * 0.19}
              for at in range(11)]  # fmt: skip
    return {"to": "teacher", "n": 600, "small": plain(0.81), "teacher": plain(0.94),
            "points": points, "best": points[7]}  # fmt: skip


@pytest.fixture
def report() -> dict[str, Any]:
    """Every part has run."""
    reasons = {
        "too_short": 31, "refusal": 44, "duplicate": 12, "near_duplicate": 187, "agree": 96,
        "in_gold": 9,
    }  # fmt: skip
    return {
        "run": {
            "name": "quickstart",
            "recipe_hash": "9f2c1be07a5d4e3380aa",
            "started": "2026-02-03T10:11:12+00:00",
            "seconds": 71.4,
        },
        "rows": [
            {"stage": "generate", "in": 1200, "accepted": 1179, "rejected": 0, "failed": 21,
             "reasons": {"timeout": 4, "parse": 17}},
            {"stage": "filter", "in": 1179, "accepted": 800, "rejected": 379, "failed": 0,
             "reasons": reasons},
            {"stage": "split", "in": 800, "accepted": 800, "rejected": 0, "failed": 0,
             "reasons": {}},
        ],
        "shortfall": None,
        "cost": {
            "usd": 1.8342, "requests": 1200, "input_tokens": 96_120, "output_tokens": 3_411,
            "stored_answers": 214,
            "by_teacher": {
                "writer": {"usd": 1.8342, "requests": 400, "input_tokens": 46_120,
                           "output_tokens": 2_411, "stored_answers": 0},
                "big": {"usd": 0.0, "requests": 800, "input_tokens": 50_000,
                        "output_tokens": 1_000, "stored_answers": 214},
            },
        },
        "metrics": {
            "student_before": {"accuracy": plain(0.172), "macro_f1": plain(0.09),
                               "parsed": exactly(1.0)},
            "teacher": {"accuracy": plain(0.947), "macro_f1": plain(0.946), "parsed": plain(0.99)},
            "student": trained(0.807, 0.041),
            "hard_labels": trained(0.684, 0.052),
            "hard_labels_confident": trained(0.741, 0.038),
            "majority": {"accuracy": plain(0.181), "macro_f1": plain(0.051),
                         "parsed": exactly(1.0)},
        },
        "metrics_on": "gold",
        "probe": None,
        "metrics_by_set": {"val": {"student": {"accuracy": plain(0.83, 80, 0.08)}}},
        "training": {"steps": 600, "tokens": 393_216, "loss_first": 1.92, "loss_last": 0.211,
                     "tokens_per_s": 51_234.5, "trainable": 81_920, "trainable_share": 1.0},
        "judging": None,
        "significance": None,
        "ladder": None,
        "two_by_two": None,
        "curves": {
            arm: [{"step": step, "loss": 0.2 + 17 / step} for step in range(10, 601, 10)]
            for arm in ("student", "hard_labels")
        },
        "forgetting": {"text": before_after("bits_per_byte", 1.21, 1.34, True),
                       "questions": before_after("accuracy", 0.72, 0.70, False)},
        "learning_curve": {
            "metric": "accuracy",
            "points": [{"share": share, "rows": int(1000 * share),
                        "figures": {"accuracy": seeds(value, 0.03)}}
                       for share, value in ((0.25, 0.69), (0.5, 0.76), (1.0, 0.807))],
            "gain": plain(0.047), "usd_per_row": 0.004, "worth": "yes",
            "next": {"rows": 2000, "value": 0.838, "gain": 0.031, "usd": 4.0},
            "because": "The last doubling of the rows changed accuracy by +0.047.",
        },
        "label_quality": {"suspected": plain(0.03, 1000), "rows": []},
        "review": {"rows": 60, "reviewers": 2, "error_rate": plain(0.04, 50)},
        "economics": {
            "teacher_per_1000": 1.9, "student_per_1000": 0.021, "saving_per_1000": 1.879,
            "spent_usd": {"answers": 1.84, "training": 0.02}, "break_even_rows": 990.0,
            "why": None, "rests_on": {"price": {"gpu_hour": 2.0}, "rows_per_s": 812.4,
                                      "tokens_per_s": 33877.0},
        },
        "format": {"student": plain(0.97), "teacher": plain(0.99)},
        "collapse": {
            "kind": "labels", "collapsed": False, "because": "The student gives bug to 31 %.",
            "systems": {name: {"n": 600, "entropy": 1.9, "counts": {"bug": 186},
                               "commonest": {"label": "bug", "share": 0.31}}
                        for name in ("gold", "student")},
        },
        "failure_modes": {
            "n": 600, "wrong": 116, "error_rate": plain(0.193), "by_label": None, "by_slice": {},
            "file": "stages/07-evaluate/failures.jsonl",
            "clusters": [{"name": "refund, invoice: billing taken for bug", "terms": ["refund"],
                          "count": 40, "error_rate": plain(0.4, 100), "confused": None,
                          "expected": {"billing": 40}, "slices": {}, "ids": [],
                          "examples": [{"id": "f1", "input": "<script>alert(3)</script>",
                                        "expected": "billing", "answered": None}]}],
        },
        "cascade": cascade(),
        "verdict": {
            "say": "more_data",
            "because": "The student (accuracy 0.807, interval 0.777 to 0.837) trails the teacher "
            "(0.947) by more than its interval; more rows, or a larger student, should close the "
            "gap.",
            "numbers": ["Price: 1,000 rows cost 0.021 USD with the student."],
        },
    }  # fmt: skip
