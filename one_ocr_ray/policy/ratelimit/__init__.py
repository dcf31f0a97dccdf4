"""The arithmetic of one rate-limit bucket, which is one provider account and model for the whole cluster.

    messages   what clients and the gate say to each other
    meter      allowances in requests, tokens and days
    adapt      how fast the bucket may go now: ceilings, throttles, recovery, ramp
    inflight   how many requests a server without quotas takes at once
    patience   when throttles are no throttles any more
    breaker    when a server that fails is left alone
    holding    what a client may say of its wait
    members    which jobs and clients there are, and what they have in flight
    shares     who is next
    gate       all of these together: questions in, grants out
    estimate   how many tokens the next answer will have

`now` is in seconds of any clock that never falls; rates are per second unless a name says otherwise.
"""
