"""The arithmetic of one rate-limit bucket: one provider account and model for the whole cluster.

    messages      what clients and the gate send to each other
    gate          record feedback, enqueue acquires, dispatch grants
    meter         requests, tokens and days that were granted
    adapt         the current rate: ceilings, throttles, recovery, ramp
    inflight      how many requests a server without quotas takes at once
    patience      when throttles are no throttles any more
    breaker       when a failing server gets no requests
    hold          what a client shows of its wait
    clients       jobs and clients with their requests in flight
    shares        fair queueing
    token_bucket  the classic token bucket, for `TokenBucketRateLimiter`

`now` is in seconds of any monotonic clock; rates are per second unless a name says otherwise.
"""
