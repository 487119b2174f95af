"""The guards by name: why something that fires is not acted on, each in one sentence."""

from __future__ import annotations

GUARDS: dict[str, str] = {
    "paused": "a person paused the agent",
    "acknowledged": "a person took this incident over",
    "unknown": "the condition, or the state of the target, cannot be told",
    "between": "it is not clear yet, but `when` no longer holds: no ladder begins now",
    "cause present": "another subject's trouble explains this one and is healed first",
    "unless": "a policy named in `unless` fires here",
    "only": "it is not within the policy's hours",
    "stale sample": "the sample is older than the last action on the target",
    "in flight": "an action on the target is not judged yet",
    "one at a time": "one memory action on a host at a time, and daemons are repaired before memory",
    "cooling": "the target was acted on, or restarted, within `cooldown`",
    "limit": "the breaker is open: `limit` attempts did not last; it half-opens by itself for one trial",
    "too many": "more targets than `max_targets`, and the policy says `over: refuse`",
    "max_targets": "as many targets as `max_targets` are acted on; the others wait",
    "cannot help": "the action could give back next to nothing: somebody else holds the memory",
    "no target": "there is nothing the action could be done to",
    "observing": "it would have been done: the agent or the policy observes",
    "refused": "the action proved that it must not be done now; tried again with backoff",
    "settling": "the action was met a moment ago; whether it helped is judged soon",
    "gave up": "no rung is left; a new incident begins with backoff",
    "told": "a notice was given, and nothing else is to be done",
}
