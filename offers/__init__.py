"""What is best to show: offers, eligibility, caps, ranking.

    plan = plans.current_plan("front-page", "hero", now)       a policy for a placement, compiled, kept until it changes
    decided = decide.decide([Ask(profile_id)], plan, now)      chosen items and every candidate's reason, recorded
    decide.simulate([Ask(profile_id)], plan, now)              the same, but nothing is recorded and no cap is used
    capping.confirm(decision_ids), capping.release(...)        what was held is shown, or is not shown after all
    learning.add_outcomes(cur, outcomes)                       what people did, for learned ranking
    services.approve_offer(offer=..., user=...)                what people do with offer items

`ranking` is pure. Rooms above use these modules and `models`.
"""

from __future__ import annotations
